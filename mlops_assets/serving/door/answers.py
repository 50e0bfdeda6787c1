"""The one shape of an error, and which status each kind of error has."""

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import Send

from mlops_assets.core.disk import refused_by_disk
from mlops_assets.core.errors import (
    Busy,
    Forbidden,
    NotFound,
    PlatformError,
    Refused,
    Stale,
    Unavailable,
    UsageError,
)

RETRY_SECONDS = 1
MOST_PROBLEMS = 10  # of one request that are told
UNEXPECTED = "Something went wrong here, not with your request; it is in the gateway's log under this request id."
CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "conflict",
    413: "too_large",
    414: "too_long",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
    500: "internal",
    503: "busy",
}
# The first that fits; the order is from the special to the general.
STATUS: Sequence[tuple[type[PlatformError], int, str]] = (
    (NotFound, 404, "not_found"),
    (Forbidden, 403, "forbidden"),
    (Refused, 409, "refused"),
    (Stale, 409, "stale"),
    (Busy, 503, "busy"),
    (Unavailable, 503, "unavailable"),
    (UsageError, 422, "invalid"),
    (PlatformError, 500, "internal"),
)


class Problem(BaseModel):
    """What went wrong, for a program and for a person."""

    code: str
    message: str
    request_id: str


class ErrorDocument(BaseModel):
    """The body of every answer that is not a success."""

    error: Problem


def error_body(code: str, message: str, request_id: str) -> bytes:
    """Return the JSON of an error."""
    return orjson.dumps({"error": {"code": code, "message": message, "request_id": request_id}})


async def answer_bytes(send: Send, status: int, body: bytes) -> None:
    """Send a JSON document (ASGI); what is busy says when to come again."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 503:
        headers.append((b"retry-after", b"%d" % RETRY_SECONDS))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def status_of(error: PlatformError) -> tuple[int, str]:
    """Return the HTTP status and code of an error."""
    return next((status, code) for kind, status, code in STATUS if isinstance(error, kind))


def install(app: FastAPI) -> None:
    """Let an app answer its errors in the one shape."""
    app.add_exception_handler(PlatformError, _platform_error)
    app.add_exception_handler(OSError, _disk_error)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def answer_error(request: Request, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Any:
    """Return a response in the one shape."""
    body = {"error": {"code": code, "message": message, "request_id": request.scope.get("request_id", "")}}
    more = dict(headers or {})
    if status == 503:
        more.setdefault("Retry-After", str(RETRY_SECONDS))
    return JSONResponse(body, status, headers=more)


async def _platform_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PlatformError)
    status, code = status_of(error)
    if status == 500:
        raise error  # ours to mend, not the caller's: it is logged with its traceback
    return answer_error(request, status, code, str(error))


async def _disk_error(request: Request, error: Exception) -> JSONResponse:
    found = refused_by_disk(error)
    if found is None:
        raise error
    return await _platform_error(request, found)


async def _wrong_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    problems = [_problem(each) for each in found[:MOST_PROBLEMS]]
    if len(found) > MOST_PROBLEMS:
        problems.append(f"and {len(found) - MOST_PROBLEMS} more")
    return answer_error(request, 422, "invalid", "; ".join(problems) + ".")


def _problem(error: Any) -> str:
    if error["type"] == "model_attributes_type":  # FastAPI does not read what is not called JSON
        return "The body must be a JSON object, sent with Content-Type: application/json"
    return f"{'.'.join(str(part) for part in error['loc'])}: {error['msg'].removeprefix('Value error, ')}"


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "error")
    said = error.detail if isinstance(error.detail, str) else code
    message = {404: "There is no such page.", 405: "This path does not have that method."}.get(error.status_code, said)
    return answer_error(request, error.status_code, code, message, dict(error.headers or {}))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    return answer_error(request, 500, "internal", str(error) if isinstance(error, PlatformError) else UNEXPECTED)
