"""What every request passes before anything of its body is read: who is it, what may they do, how much and how fast.

Pure ASGI around the whole app, pages and metrics included. A framework's own means come too late or buffer: FastAPI
reads and parses a body before it asks a dependency whether the caller may send one.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from mlops_assets.core.errors import PlatformError
from mlops_assets.core.serving import AccessRole
from mlops_assets.serving.door.access import Caller, Keyring, is_key
from mlops_assets.serving.door.access_log import AccessLog
from mlops_assets.serving.door.answers import UNEXPECTED
from mlops_assets.serving.door.auditing import Auditor
from mlops_assets.serving.door.key_reader import KeyReader
from mlops_assets.serving.door.login import LOG_IN, LOG_OUT, SAFE, LogIn, own_path, same_origin, wants_page
from mlops_assets.serving.door.rates import Rates
from mlops_assets.serving.door.routing import RouteTable, Target
from mlops_assets.serving.door.visit import GONE, DoorSettings, Held, Refusal, Visit
from mlops_assets.serving.metrics import Metrics

OLDEST_KEYS_SECONDS = 300  # that the list of keys may be, should the database be away
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
LONGEST_ADDRESS = 64  # letters, by which wrong keys are counted: behind a proxy it is whatever a header says
FOREIGN = "A browser sent this from another site's page."
NO_KEY = "A valid key is needed: `Authorization: Bearer mlops_...`."


class Door:
    """Lets a request through to the app, or refuses it; told, counted and logged either way."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keyring: Keyring,
        reader: KeyReader,
        login: LogIn,
        routes: RouteTable,
        limit: Callable[[Target | None], int],
        settings: DoorSettings,
        metrics: Metrics,
        log: AccessLog,
        auditor: Auditor,
    ) -> None:
        self.app = app
        self.routes_by_role = routes
        self._keyring = keyring
        self._reader = reader
        self._login = login
        self._limit = limit
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self._auditor = auditor
        self._rates = Rates(settings.requests_per_second, settings.failed_keys_per_minute)
        self._held = Held()
        metrics.in_flight.set_function(lambda: self._held.requests)
        metrics.held.set_function(lambda: self._held.bytes)

    def __getattr__(self, name: str) -> Any:
        """Stand in for the app: its state, its routes."""
        return getattr(self.app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # 403 to the handshake: nothing is served so
        else:
            await self._serve(scope, Visit(scope, receive, send, self._settings, self._held))

    async def _serve(self, scope: Scope, visit: Visit) -> None:
        self._held.requests += 1
        try:
            try:
                await self._through(scope, visit)
            except Refusal as refusal:
                visit.refusal = visit.refusal or refusal
            except Exception as error:
                if not visit.gone:
                    self._log.failure(error, request_id=visit.request_id, route=_route(visit))
                said = str(error) if isinstance(error, PlatformError) else UNEXPECTED
                visit.refusal = visit.refusal or Refusal(500, said)
            if visit.refusal is not None and not visit.status and not visit.gone:
                await self._refuse(visit, visit.refusal)
        finally:
            visit.end()
            self._held.requests -= 1
            self._tell(visit)

    async def _through(self, scope: Scope, visit: Visit) -> None:
        if self._keyring.age > OLDEST_KEYS_SECONDS:
            raise Refusal(503, "The list of keys cannot be read.", headers={"Retry-After": "5"})
        if visit.path == LOG_IN:
            await self._log_in(scope, visit)
            return
        await self._identify(scope, visit)
        if visit.caller is None:
            raise Refusal(401, NO_KEY, headers={"WWW-Authenticate": "Bearer"})
        if wait := self._rates.ask(visit.caller.name):
            message = f"{visit.caller.name} asks more than {self._settings.requests_per_second:g} times a second."
            raise Refusal(429, message, headers={"Retry-After": str(wait)})
        visit.check_target()
        changes = visit.method not in SAFE
        foreign = changes and visit.by_cookie and not same_origin(visit)
        if visit.path == LOG_OUT and visit.method == "POST" and not foreign:
            await self._login.log_out(visit)
            return
        visit.target = self.routes_by_role.find(visit.method, visit.path)
        if changes and visit.target is not None:
            visit.before_403 = functools.partial(self._auditor.refused, visit.caller, visit.method, visit.target)
        if foreign:
            raise Refusal(403, FOREIGN)
        needed: AccessRole = visit.target.role if visit.target else "viewer"
        if not visit.caller.may(needed):
            raise Refusal(403, f"{visit.caller.name} has the role {visit.caller.role}; this needs {needed}.")
        visit.limit = self._limit(visit.target)
        visit.check_announced()
        scope["caller"] = visit.caller
        scope["request_id"] = visit.request_id
        if visit.target is not None and visit.target.app is not None:
            # FastAPI's middleware and its search for the route would take as long as all the rest of a prediction.
            scope["app"], scope["path_params"] = self.app, visit.target.parameters
            await visit.target.app(scope, visit.receive, visit.send)
        else:
            await self.app(scope, visit.receive, visit.send)

    async def _identify(self, scope: Scope, visit: Visit) -> None:
        given = visit.headers.get(b"authorization")
        if given is None:
            visit.caller = self._login.caller(visit)
            visit.by_cookie = visit.caller is not None
            return
        scheme, _, secret = given.partition(b" ")
        if scheme.lower() == b"bearer":
            visit.caller = await self._known(secret.strip().decode("latin-1"))
        if visit.caller is None:
            self._count_failure(scope)

    async def _known(self, secret: str) -> Caller | None:
        """Return whose key it is; one that is not known may have been made a moment ago."""
        caller = self._keyring.caller(secret)
        if caller is None and is_key(secret):
            await self._reader.refresh()
            caller = self._keyring.caller(secret)
        return caller

    def _count_failure(self, scope: Scope) -> None:
        if wait := self._rates.fail((scope.get("client") or ("",))[0][:LONGEST_ADDRESS]):
            raise Refusal(429, "Too many wrong keys from this address.", headers={"Retry-After": str(wait)})

    async def _log_in(self, scope: Scope, visit: Visit) -> None:
        to = "/"
        if visit.method == "POST":
            if visit.headers.keys() & {b"origin", b"sec-fetch-site"} and not same_origin(visit):
                raise Refusal(403, FOREIGN)
            await self._reader.refresh()
            if await self._login.log_in(visit, secure=scope["scheme"] == "https"):
                return
            self._count_failure(scope)
        if wants_page(visit):
            problem = "This key is wrong, or counts no longer." if visit.method == "POST" else ""
            await self._login.form(visit, to, problem=problem)
        else:
            raise Refusal(401, NO_KEY, headers={"WWW-Authenticate": "Bearer"})

    async def _refuse(self, visit: Visit, refusal: Refusal) -> None:
        if refusal.status in (401, 403) and wants_page(visit):
            to = own_path(f"{visit.path}?{visit.query}".removesuffix("?"))
            problem = "" if visit.caller is None else refusal.message
            await self._login.form(visit, to, problem=problem, status=refusal.status)
        else:
            await visit.refuse(refusal)

    def _tell(self, visit: Visit) -> None:
        seconds = time.perf_counter() - visit.started
        status = visit.status or (GONE if visit.gone else 500)
        method = visit.method if visit.method in METHODS else "OTHER"
        name, role = (visit.caller.name, visit.caller.role) if visit.caller else ("", "")
        route = _route(visit)
        self._metrics.request(method, route, status, role, seconds, visit.received, visit.sent)
        self._log.write(
            {
                "request_id": visit.request_id,
                "caller": name,
                "method": method,
                "route": route,
                "status": status,
                "bytes_in": visit.received,
                "bytes_out": visit.sent,
                "ms": round(seconds * 1000, 3),
            }
        )


def _route(visit: Visit) -> str:
    """The template of the path, never the path itself: it may hold anything."""
    if visit.path in (LOG_IN, LOG_OUT):
        return visit.path
    return visit.target.path if visit.target else "(none)"
