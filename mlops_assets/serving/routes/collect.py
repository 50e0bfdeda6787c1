"""Events by HTTP: `POST /v1/lines/{line}/events`, and source 004's own paths, acknowledged when they are on disk.

Read and answered by hand like predictions: single events come in thousands a second.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

from fastapi import APIRouter
from pydantic import BaseModel, JsonValue
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from mlops_assets.core.errors import Forbidden, NotFound, PlatformError, UsageError
from mlops_assets.core.events import LARGEST_EVENT, Kind, Prediction, Receipt
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.collection.collecting import Prepared, prepare
from mlops_assets.serving.door.access import Caller, requires
from mlops_assets.serving.door.answers import CODES, answer_bytes, error_body, status_of
from mlops_assets.serving.door.routing import DirectRoute
from mlops_assets.serving.door.strict import read_json
from mlops_assets.serving.metrics import Metrics

MOST_EVENTS = 1_000  # of one request
JSON_LINES = (b"application/x-ndjson", b"application/jsonl", b"application/json-lines", b"application/jsonlines")
Document = dict[str, JsonValue] | bytes  # an event that was read, or its JSON
TAKEN = ("stored", "duplicate", "off")
_STATUS: dict[str, int] = {"conflict": 409, "invalid": 422}

router = APIRouter(tags=["collect"], route_class=DirectRoute)
Contributor = Annotated[Caller, requires("contributor")]


class Receipts(BaseModel):
    """An answer for each event of a batch, in order."""

    receipts: list[Receipt]


def _document(kind: Kind | Literal["event"]) -> dict[str, Any]:
    what = f"One {kind}, as core.events describes it; a list of them; or JSON lines (application/x-ndjson)."
    schema = {"oneOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}, "maxItems": MOST_EVENTS}]}
    content = {"application/json": {"schema": schema}, "application/x-ndjson": {"schema": {"type": "string"}}}
    return {"requestBody": {"required": True, "description": what, "content": content}}


async def events(scope: Scope, receive: Receive, send: Send) -> None:
    """Collect events of any kind for the line of the path (ASGI)."""
    await _collect(scope, receive, send, scope["path_params"]["line"], None)


async def feedback(scope: Scope, receive: Receive, send: Send) -> None:
    """Collect what somebody thought of a result (ASGI)."""
    await _collect(scope, receive, send, _asked_line(scope), "feedback")


async def usage(scope: Scope, receive: Receive, send: Send) -> None:
    """Collect what was used (ASGI)."""
    await _collect(scope, receive, send, _asked_line(scope), "usage")


@router.post("/v1/lines/{line}/events", openapi_extra=_document("event"), name="events")
@DirectRoute.answered_by(events)
def described_events(line: str, caller: Contributor) -> Receipt | Receipts:
    """Store what happened: usage, feedback, corrections.

    200 when it would survive a power cut, or did before (`duplicate`), or the line does not collect it (`off`); 409 if
    another event has its id; 422 if it is none. Of a batch each is answered on its own, with 200 if any was taken.
    """
    ...


@router.post("/pipeline/collect/feedback", openapi_extra=_document("feedback"), name="collect_feedback")
@DirectRoute.answered_by(feedback)
def described_feedback(caller: Contributor, line: str | None = None) -> Receipt | Receipts:
    """Store a rating (source 004); `line` may be left out where one line only collects preferences."""
    ...


@router.post("/pipeline/collect/data", openapi_extra=_document("usage"), name="collect_data")
@DirectRoute.answered_by(usage)
def described_data(caller: Contributor, line: str | None = None) -> Receipt | Receipts:
    """Store a use (source 004); `line` may be left out where one line only collects preferences."""
    ...


async def _collect(scope: Scope, receive: Receive, send: Send, name: str | None, kind: Kind | None) -> None:
    request = Request(scope, receive)
    body = await request.body()
    state = scope["app"].state
    try:
        documents, single = await _documents(body, request.headers.get("content-type", "").encode())
        line = _line(state.lines, name)
        prepared = _prepared(state.platform, line, documents, kind, scope["caller"])
        receipts = prepared.answers(await _stored(state.platform, state.metrics, line, prepared, scope["caller"]))
    except ValueError as error:
        await answer_bytes(send, 422, error_body("invalid", str(error), scope["request_id"]))
    except PlatformError as error:
        status, code = status_of(error)
        if status == 500:
            raise  # the door logs it
        await answer_bytes(send, status, error_body(code, str(error), scope["request_id"]))
    else:
        await answer_bytes(send, *_answer(receipts, single, scope["request_id"]))


async def _documents(body: bytes, content_type: bytes) -> tuple[list[Document], bool]:
    """Return each event, read or as JSON, and whether one was sent as such; ValueError for a body that is neither."""
    if content_type.partition(b";")[0].strip().lower() in JSON_LINES:
        documents: list[Document] = [line for line in body.split(b"\n") if line.strip()]
    elif body.lstrip()[:1] == b"[":
        small = len(body) <= LARGEST_EVENT  # and so is each of them
        found = await read_json(body)
        documents = [each if small and isinstance(each, dict) else json.dumps(each).encode() for each in found]
    else:
        return [body], True
    if not documents:
        raise ValueError("There is no event in the body.")
    if len(documents) > MOST_EVENTS:
        raise ValueError(f"{len(documents)} events; one request may bring {MOST_EVENTS}.")
    return documents, False


def _prepared(
    platform: Platform, line: Line, documents: Sequence[Document], kind: Kind | None, caller: Caller
) -> Prepared:
    prepared = prepare(line, documents, kind=kind, now=platform.clock())
    if not caller.may("admin") and any(isinstance(each, Prediction) for each in prepared.events):
        raise Forbidden(  # they decide what is rolled back
            "Predictions are recorded by the gateway that makes them.", "An admin's key may report those of another."
        )
    return prepared


async def _stored(
    platform: Platform, metrics: Metrics, line: Line, prepared: Prepared, caller: Caller
) -> tuple[Receipt, ...]:
    if not prepared.events:
        return ()
    began, count = time.perf_counter(), len(prepared.events)
    metrics.events_arrived(count)
    try:
        return await asyncio.wrap_future(platform.events.submit(line.line, prepared.events, sent_by=caller.name))
    finally:
        metrics.events_left(count, time.perf_counter() - began)


def _answer(receipts: Sequence[Receipt], single: bool, request_id: str) -> tuple[int, bytes]:
    taken = any(each.status in TAKEN for each in receipts)
    status = 200 if taken else _STATUS[receipts[0].status]
    if not single:
        return status, Receipts(receipts=list(receipts)).model_dump_json(exclude_none=True).encode()
    if taken:
        return status, receipts[0].model_dump_json(exclude_none=True).encode()
    return status, error_body(CODES[status], receipts[0].problem, request_id)


def _asked_line(scope: Scope) -> str | None:
    return parse_qs(scope["query_string"].decode("latin-1")).get("line", [None])[0]


def _line(lines: dict[str, Line], name: str | None) -> Line:
    if name is not None:
        if name in lines:
            return lines[name]
        raise NotFound(f"There is no line '{name}'.", f"The lines are: {', '.join(sorted(lines)) or 'none'}.")
    collecting = [line for line in lines.values() if line.family == "preference"]
    if len(collecting) == 1:
        return collecting[0]
    known = ", ".join(sorted(line.line for line in collecting)) or "none"
    raise UsageError(f"It is not said for which line this is; those that collect preferences: {known}.", "Add ?line=.")
