"""The way to a line's model: `POST /v1/lines/{line}/predict`, read and answered by hand, for it is called most.

It is a FastAPI route to whoever asks (its path, role and documents), and plain ASGI to whoever calls.
"""

import binascii
import re
import time
from base64 import b64decode
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, JsonValue
from starlette.types import Receive, Scope, Send

from mlops_assets.core.errors import PlatformError
from mlops_assets.core.line import Line
from mlops_assets.serving.door.access import Caller, requires
from mlops_assets.serving.door.answers import RETRY_SECONDS, error_body, status_of
from mlops_assets.serving.door.routing import DirectRoute
from mlops_assets.serving.door.strict import read_json
from mlops_assets.serving.engine.answering import Answer
from mlops_assets.serving.engine.frames import Blob
from mlops_assets.serving.metrics import Metrics

MOST_INPUTS = 1_000  # of one request, and never more than may wait for the line's model
JSON_TYPES = (b"application/json", b"application/x-www-form-urlencoded")  # the latter is what `curl -d` says of JSON
_USER = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_KEYS = frozenset({"input", "inputs", "user"})
_JSON_TYPE = (b"content-type", b"application/json")
_RETRY = (b"retry-after", b"%d" % RETRY_SECONDS)


class PredictionDocument(BaseModel):
    """One answer; `prediction_id` is what feedback and corrections refer to."""

    prediction_id: str
    version: int
    arm: Literal["production", "canary"]
    output: JsonValue


class PredictionsDocument(BaseModel):
    """An answer for each of `inputs`, in order."""

    predictions: list[PredictionDocument]


_REQUEST = {
    "requestBody": {
        "required": True,
        "description": "One input or several, all or none of which are answered; or the bytes of one media file, with "
        "the user in the header X-User. Media inside JSON is `{\"base64\": \"...\"}`.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "input": {"description": "What the line's family reads"},
                        "inputs": {"type": "array", "minItems": 1, "maxItems": MOST_INPUTS, "items": {}},
                        "user": {"type": "string", "minLength": 1, "maxLength": 200},
                    },
                    "additionalProperties": False,
                    "oneOf": [{"required": ["input"]}, {"required": ["inputs"]}],
                }
            },
            "audio/*": {"schema": {"type": "string", "format": "binary"}},
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}  # fmt: skip


class _Wrong(Exception):
    """The client's mistake."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(message)


async def predict(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request (ASGI): 200, or an error of which no input was answered."""
    body = await _body(receive)
    if body is None:
        return
    began = time.perf_counter()
    headers: list[tuple[bytes, bytes]] = [_JSON_TYPE]
    try:
        status, document = 200, await _answered(scope, body, began)
    except _Wrong as wrong:
        status, document = wrong.status, error_body(wrong.code, wrong.message, scope.get("request_id", ""))
    except PlatformError as error:
        status, code = status_of(error)
        if status == 500:
            raise  # the door logs it
        document = error_body(code, str(error), scope.get("request_id", ""))
    if status == 503:
        headers.append(_RETRY)
    headers.append((b"content-length", b"%d" % len(document)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": document})


router = APIRouter(tags=["predict"], route_class=DirectRoute)


@router.post("/v1/lines/{line}/predict", openapi_extra=_REQUEST, name="predict")
@DirectRoute.answered_by(predict)
def described(
    line: str, caller: Annotated[Caller, requires("contributor")]
) -> PredictionDocument | PredictionsDocument:
    """Answer by the version that serves the caller's user, and remember the prediction under its id."""
    ...


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body; None if the client went away."""
    message = await receive()
    body = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body"):
        return body
    parts = [body]
    while message["type"] == "http.request" and message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts) if message["type"] == "http.request" else None


async def _answered(scope: Scope, body: bytes, began: float) -> bytes:
    engine = scope["app"].state.engine
    name = scope["path_params"]["line"]
    line, media = engine.known(name)
    inputs, user, single = await _asked(scope, body, line, media)
    try:
        answers: list[Answer] = await engine.predict(line, inputs, user=user, began=began)
    except TypeError as error:
        raise _Wrong(422, "invalid", f"An input holds what cannot be read: {error}.") from None
    _count(scope["app"].state.metrics, name, answers)
    for at, answer in enumerate(answers):
        where = "" if single else f"inputs[{at}]: "
        if answer.problem:
            raise _Wrong(422, "invalid", f"{where}{answer.problem}")
        if answer.failure:
            raise _Wrong(503, answer.failure, f"{where}{line.line} did not answer. Send it again in a second.")
    if single:
        return _document(answers[0])
    return b'{"predictions":[' + b",".join(map(_document, answers)) + b"]}"


def _count(metrics: Metrics, line: str, answers: Sequence[Answer]) -> None:
    for answer in answers:
        if not answer.problem:
            metrics.predicted(line, answer.version, answer.arm, not answer.failure)


def _document(answer: Answer) -> bytes:
    return b'{"prediction_id":"%s","version":%d,"arm":"%s","output":%s}' % (
        (answer.prediction_id or "").encode(),
        answer.version,
        answer.arm.encode(),
        answer.body,
    )


async def _asked(scope: Scope, body: bytes, line: Line, media: str) -> tuple[list[JsonValue | Blob], str | None, bool]:
    """Return inputs, user, and whether one input was asked for as such."""
    content_type, user = b"application/json", None
    for header, value in scope["headers"]:
        if header == b"content-type":
            content_type = value.partition(b";")[0].strip().lower()
        elif header == b"x-user":
            user = _user(_decoded(value))
    if content_type in JSON_TYPES:
        return await _of_json(body, user, line, media)
    kind = content_type.partition(b"/")[0].decode("latin-1")
    if kind not in ("audio", "image") or kind != media:
        wanted = "application/json" if media == "json" else f"{media}/* or application/json"
        raise _Wrong(415, "unsupported_media_type", f"{line.line} takes {wanted}.")
    if not body:
        raise _Wrong(422, "invalid", "The body is empty.")
    return [Blob(body)], user, True


async def _of_json(
    body: bytes, user: str | None, line: Line, media: str
) -> tuple[list[JsonValue | Blob], str | None, bool]:
    try:
        document = await read_json(body)
    except ValueError as error:
        raise _Wrong(422, "invalid", str(error)) from None
    if not isinstance(document, dict):
        raise _Wrong(422, "invalid", "The body must be a JSON object.")
    if unknown := document.keys() - _KEYS:
        raise _Wrong(422, "invalid", f"Unknown key {', '.join(sorted(unknown))}.")
    if ("input" in document) == ("inputs" in document):
        raise _Wrong(422, "invalid", "The body needs either `input` or `inputs`.")
    if "user" in document:
        user = _user(document["user"])
    single = "input" in document
    inputs = [document["input"]] if single else document["inputs"]
    if not isinstance(inputs, list) or not inputs:
        raise _Wrong(422, "invalid", "`inputs` must be a list that is not empty.")
    most = min(MOST_INPUTS, line.serving.queue)
    if len(inputs) > most:
        raise _Wrong(413, "too_large", f"{len(inputs)} inputs; {line.line} takes {most} in one request.")
    return inputs if media == "json" else [_media(each) for each in inputs], user, single


def _user(value: Any) -> str:
    if not isinstance(value, str) or not _USER.fullmatch(value):
        raise _Wrong(422, "invalid", "`user` must be a text of 1 to 200 characters without control characters.")
    return value


def _decoded(header: bytes) -> str:
    """Return a header's text, in UTF-8 as most clients send it, else in Latin-1 as HTTP once said."""
    try:
        return header.decode()
    except UnicodeDecodeError:
        return header.decode("latin-1")


def _media(value: Any) -> Blob:
    if not isinstance(value, dict) or value.keys() != {"base64"} or not isinstance(value["base64"], str):
        raise _Wrong(422, "invalid", 'Media inside JSON must be {"base64": "..."}.')
    try:
        return Blob(b64decode(value["base64"], validate=True))
    except (binascii.Error, ValueError):
        raise _Wrong(422, "invalid", "The media is not base64.") from None
