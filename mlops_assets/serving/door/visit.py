"""One request on its way through the door: its body counted and timed, its answer given what every answer has."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope, Send

from mlops_assets.core.events import new_event_id
from mlops_assets.serving.door.access import Caller
from mlops_assets.serving.door.answers import CODES, error_body
from mlops_assets.serving.door.routing import Target

MEGABYTE = 2**20
LONGEST_TARGET = 4_096  # characters of a path and its query: each path's route is remembered
LONGEST_TARGET = 4_096  # characters of path and query
GONE = 499  # said in the log alone: the client went before it was answered
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
ARRIVED = "mlops.arrived"  # in the scope of a request whose body is there, if the server says so
POLICY = b"content-security-policy"
_SECURITY = (
    (
        POLICY,
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer a browser on plain http says that a form came from "null"
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)


@dataclass(frozen=True)
class DoorSettings:
    """What one caller may ask of the gateway, and how slowly."""

    requests_per_second: float = 1_000  # of one key
    failed_keys_per_minute: int = 5_000  # of one address: 256 bits are not guessed, but logs are filled
    stall_seconds: float = 10  # that a body may stand still
    bytes_per_second: float = 1_000  # that a body has to come with on the whole, after `stall_seconds`
    max_body: int = MEGABYTE  # of events
    max_form: int = 65_536  # of whatever is neither events nor a prediction: a form, a wish and its reason
    most_held: int = 512 * MEGABYTE  # bytes of all bodies that are held at once


class Refusal(Exception):
    """The request goes no further; nothing more of its body is read."""

    def __init__(self, status: int, message: str, *, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.message = message
        self.headers = headers or {}
        super().__init__(message)


class Held:
    """The requests in flight, and the bytes of their bodies."""

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0


class Visit:
    """One request; `status` is 0 until an answer began, `refusal` is why it goes no further."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: DoorSettings, held: Held) -> None:
        self.started = time.perf_counter()
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        given = self.headers.get(b"x-request-id", b"")
        self.request_id = given.decode() if _REQUEST_ID.fullmatch(given) else new_event_id()
        announced = self.headers.get(b"content-length", b"0")
        self.announced = int(announced) if announced.isdigit() else 0
        self.has_body = self.announced > 0 or b"transfer-encoding" in self.headers
        self.caller: Caller | None = None
        self.by_cookie = False
        self.target: Target | None = None
        self.limit = settings.max_form
        self.received = 0
        self.sent = 0
        self.status = 0
        self.gone = False
        self.refusal: Refusal | None = None
        self.before_403: Callable[[], Awaitable[None]] | None = None
        self._complete = not self.has_body
        self._scope = scope
        self._settings = settings
        self._held = held
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """Pass on a part of the body; Refusal for one that is too large, or too slow."""
        if self._complete or ARRIVED in self._scope:
            return self._seen(await self._receive())
        try:
            async with asyncio.timeout_at(self._deadline()):
                message = await self._receive()
        except TimeoutError:
            raise self._refused(408, "The body came too slowly, or stopped.") from None
        return self._seen(message)

    async def send(self, message: Message) -> None:
        """Pass on the app's answer, unless the request was refused before it began."""
        if self.refusal is None or self.status:
            await self._pass(message)

    async def answer(
        self, status: int, body: bytes, *, content_type: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        """Answer from the door itself; the connection ends with it if there is a body that was not read."""
        more = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        if not self._complete:
            more.append((b"connection", b"close"))
        start = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body)), *more]
        await self._pass({"type": "http.response.start", "status": status, "headers": start})
        await self._pass({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal in the one shape of errors."""
        body = error_body(CODES[refusal.status], refusal.message, self.request_id)
        await self.answer(refusal.status, body, headers=refusal.headers)

    async def body(self) -> bytes:
        """Read the whole body, for what the door answers itself."""
        parts = []
        while self.has_body:
            message = await self.receive()
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        return b"".join(parts)

    def end(self) -> None:
        """Let go of what was held."""
        self._held.bytes -= self.received

    def check_target(self) -> None:
        """Raise Refusal for a path and query that are longer than any of ours."""
        if len(self.path) + len(self.query) > LONGEST_TARGET:
            raise self._refused(414, f"A path and its query may have {LONGEST_TARGET} characters.")

    def check_announced(self) -> None:
        """Raise Refusal for a body that says itself that it is too large, or not what it is read as."""
        if self.announced > self.limit:
            raise self._too_large()
        if self.headers.get(b"content-encoding", b"identity") != b"identity":
            raise self._refused(415, "Bodies are taken uncompressed: send none with a Content-Encoding.")

    def _deadline(self) -> float:
        now = asyncio.get_running_loop().time()
        whole = self.received / self._settings.bytes_per_second - (time.perf_counter() - self.started)
        return now + self._settings.stall_seconds + min(0, whole)

    def _seen(self, message: Message) -> Message:
        if message["type"] == "http.disconnect":
            self.gone = True
            return message
        size = len(message.get("body", b""))
        self.received += size
        self._held.bytes += size
        self._complete = not message.get("more_body", False)
        if self.received > self.limit:
            raise self._too_large()
        if self._held.bytes > self._settings.most_held:
            raise self._refused(503, "Too many large bodies arrive at once.", {"Retry-After": "1"})
        return message

    def _too_large(self) -> Refusal:
        return self._refused(413, f"The body is larger than the {self.limit} bytes that this path takes.")

    def _refused(self, status: int, message: str, headers: dict[str, str] | None = None) -> Refusal:
        self.refusal = Refusal(status, message, headers=headers)
        return self.refusal

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status == 403 and self.before_403 is not None:
                await self.before_403()
            given = list(message["headers"])
            names = {name for name, _ in given}
            given += [each for each in _SECURITY if each[0] not in names]
            given.append((b"x-request-id", self.request_id.encode()))
            message = {**message, "headers": given}
        elif message["type"] == "http.response.body":
            self.sent += len(message.get("body", b""))
        await self._send(message)
