"""The way in for a browser: a form as the body of every 401, a key given once, a cookie from then on."""

import asyncio
import base64
import hashlib
import html
import re
from importlib.resources import files
from urllib.parse import parse_qs, quote

from mlops_assets.serving import pages
from mlops_assets.serving.door.access import Caller, Keyring
from mlops_assets.serving.door.sessions import COOKIE, HOURS, Sessions
from mlops_assets.serving.door.visit import POLICY, Visit

LOG_IN, LOG_OUT = "/login", "/logout"
MAX_FORM = 4_096
SAFE = ("GET", "HEAD", "OPTIONS")


class LogIn:
    """Answers /login and /logout, and shows the form; the page may hold style of its own, and no script."""

    def __init__(self, keyring: Keyring, sessions: Sessions) -> None:
        self._keyring = keyring
        self._sessions = sessions
        self._page = (files(pages) / "login.html").read_text(encoding="utf-8")
        styles = re.findall(r"<style>(.*?)</style>", self._page, re.DOTALL)
        allowed = " ".join(f"'sha256-{_hash(each)}'" for each in styles) or "'none'"
        self._policy = {
            POLICY.decode(): f"default-src 'none'; style-src {allowed}; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        }

    async def form(self, visit: Visit, to: str, *, problem: str = "", status: int = 401) -> None:
        """Answer with the form, which leads to `to` once the key is right."""
        page = self._page.replace("{{ to }}", html.escape(to)).replace("{{ problem }}", html.escape(problem))
        headers = ({"WWW-Authenticate": "Bearer"} if status == 401 else {}) | self._policy
        await visit.answer(status, page.encode(), content_type="text/html; charset=utf-8", headers=headers)

    def caller(self, visit: Visit) -> Caller | None:
        """Return whose session the cookie is."""
        token = _cookie(visit)
        return self._sessions.caller(token) if token else None

    async def log_in(self, visit: Visit, *, secure: bool) -> bool:
        """Take a key from the form; answer and return True, or return False for a wrong one."""
        visit.limit = MAX_FORM
        visit.check_announced()
        given = parse_qs((await visit.body()).decode("utf-8", "replace"))
        caller = self._keyring.caller(given.get("key", [""])[0].strip())
        token = caller and self._sessions.begin(caller)
        if token is None:
            return False
        kept = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={HOURS * 3600}"
        visit.caller = caller
        headers = {"Location": own_path(given.get("to", ["/"])[0]), "Set-Cookie": kept + ("; Secure" if secure else "")}
        await visit.answer(303, b"", headers=headers)
        return True

    async def log_out(self, visit: Visit) -> None:
        """End the session, and lead to the form."""
        await asyncio.to_thread(self._sessions.end, _cookie(visit))
        gone = f"{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
        await visit.answer(303, b"", headers={"Location": "/", "Set-Cookie": gone})


def wants_page(visit: Visit) -> bool:
    """Say whether a person's browser asks for a page."""
    return b"text/html" in visit.headers.get(b"accept", b"")


def same_origin(visit: Visit) -> bool:
    """Say whether a browser sent this from a page of our own; what does not tell is not.

    Fetch metadata where the browser sends it, else the host of Origin, as Go's CrossOriginProtection does.
    """
    site = visit.headers.get(b"sec-fetch-site")
    if site is not None:
        return site == b"same-origin"
    host = visit.headers.get(b"origin", b"").partition(b"://")[2]
    return bool(host) and host == visit.headers.get(b"host")


def own_path(to: str) -> str:
    """Return a path of this gateway, '/' for what would lead elsewhere."""
    inside = to.startswith("/") and to[1:2] != "/" and "\\" not in to and to.isprintable()
    return quote(to, safe="/?&=%:,;@+~!*'()-._") if inside else "/"


def _cookie(visit: Visit) -> str:
    for each in visit.headers.get(b"cookie", b"").decode("latin-1").split(";"):
        name, _, value = each.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def _hash(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
