"""What every request passes before anything of its body is read: who is it, what may they do, how much and how fast.

Pure ASGI around the whole app, pages and metrics included. A framework's own middleware comes too late or buffers:
FastAPI reads and parses a body before it asks a dependency whether the caller may send one.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_assets.core.serving import AccessRole
from mlops_assets.serving.access import Caller, Keyring
from mlops_assets.serving.answers import CODES, UNEXPECTED, error_body
from mlops_assets.serving.routing import RouteTable, Target

MEGABYTE = 2**20
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_SECURITY = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
]


@dataclass(frozen=True)
class DoorSettings:
    """What one caller may ask of the gateway."""

    requests_per_second: float = 1_000  # of one key; twice as many may come at once
    failed_keys_per_minute: int = 1_000  # of one address
    stall_seconds: float = 10  # that a body may stand still
    bytes_per_second: float = 1_000  # that a body has to come with, from then on
    max_body: int = MEGABYTE  # of routes that do not say otherwise
    bodies: int = 512 * MEGABYTE  # that are held at once, of all callers together


class Refusal(Exception):
    """The request goes no further; nothing more of its body is read."""

    def __init__(self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.message = message
        self.code = code or CODES[status]
        self.headers = headers or {}
        super().__init__(message)


class Visit:
    """One request on its way through the door, and what is said of it afterwards."""

    __slots__ = (
        "_receive",
        "_send",
        "caller",
        "door",
        "headers",
        "limit",
        "method",
        "path",
        "received",
        "refusal",
        "request_id",
        "sent",
        "started",
        "status",
        "target",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.started = time.perf_counter()
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        given = self.headers.get(b"x-request-id", b"")
        self.request_id = given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        self.caller: Caller | None = None
        self.target: Target | None = None
        self.limit = 0
        self.received = 0
        self.sent = 0
        self.status = 0
        self.refusal: Refusal | None = None
        self._receive = receive
        self._send = send

    async def send(self, message: Message) -> None:
        """Pass on the app's answer with what every answer has, unless the request was refused meanwhile."""
        if self.refusal is not None and not self.status:
            return
        await self._pass(message)

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            names = {name for name, _ in message["headers"]}
            message["headers"] = [
                *message["headers"],
                *(each for each in _SECURITY if each[0] not in names),
                (b"x-request-id", self.request_id.encode()),
            ]
        elif message["type"] == "http.response.body":
            self.sent += len(message.get("body", b""))
        await self._send(message)

    async def receive(self) -> Message:
        """Pass on a part of the body, counted; a body that is too large goes no further."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
            if self.received > self.limit:
                self.refusal = Refusal(413, f"The body is larger than the {self.limit} bytes that this path takes.")
                raise self.refusal
        return message

    async def answer(
        self, status: int, body: bytes, content_type: bytes = b"application/json", headers: dict[str, str] | None = None
    ) -> None:
        """Answer from the door itself; the connection ends if a body was not read."""
        more = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        if self.has_body:
            more.append((b"connection", b"close"))
        start = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *more]
        await self._pass({"type": "http.response.start", "status": status, "headers": start})
        await self._pass({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

    @property
    def has_body(self) -> bool:
        """Say whether a body is announced."""
        return b"transfer-encoding" in self.headers or self.headers.get(b"content-length", b"0") != b"0"


class Door:
    """Lets a request through to the app, or refuses it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keyring: Keyring,
        routes: RouteTable,
        limit: Callable[[Target | None], int],
        settings: DoorSettings,
    ) -> None:
        self.app = app
        self.keyring = keyring
        self.settings = settings
        self._routes = routes
        self._limit = limit

    def __getattr__(self, name: str) -> Any:
        """Stand in for the app: its state, its routes."""
        return getattr(self.app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # 403 before the handshake: nothing is served so
        else:
            await self._serve(scope, Visit(scope, receive, send))

    async def _serve(self, scope: Scope, visit: Visit) -> None:
        try:
            self._admit(visit)
            scope["caller"] = visit.caller
            scope["request_id"] = visit.request_id
            await self.app(scope, visit.receive, visit.send)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if not isinstance(error, Refusal):
                self._log_failure(visit, error)
            if not visit.status and visit.refusal is None:
                visit.refusal = error if isinstance(error, Refusal) else Refusal(500, UNEXPECTED)
        if visit.refusal is not None and not visit.status:
            await self._refuse(visit, visit.refusal)

    def _admit(self, visit: Visit) -> None:
        visit.caller = self._caller(visit)
        if visit.caller is None:
            raise Refusal(401, "A valid key is needed: `Authorization: Bearer mlops_...`.")
        visit.target = self._routes.find(visit.method, visit.path)
        needed: AccessRole = visit.target.role if visit.target else "viewer"
        if not visit.caller.may(needed):
            raise Refusal(403, f"{visit.caller.name} is {visit.caller.role}; this needs {needed}.")
        visit.limit = self._limit(visit.target)
        announced = visit.headers.get(b"content-length")
        if announced is not None and int(announced) > visit.limit:
            raise Refusal(413, f"The body is larger than the {visit.limit} bytes that this path takes.")

    def _caller(self, visit: Visit) -> Caller | None:
        scheme, _, secret = visit.headers.get(b"authorization", b"").partition(b" ")
        return self.keyring.caller(secret.strip().decode("latin-1")) if scheme.lower() == b"bearer" else None

    async def _refuse(self, visit: Visit, refusal: Refusal) -> None:
        headers = dict(refusal.headers)
        if refusal.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        await visit.answer(refusal.status, error_body(refusal.code, refusal.message, visit.request_id), headers=headers)

    def _log_failure(self, visit: Visit, error: Exception) -> None:
        raise error
