"""Errors of a page, as a page: the same status and sentence as over REST, and a way back."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from mlops_assets.core.errors import PlatformError
from mlops_assets.serving.door.answers import status_of
from mlops_assets.serving.door.strict import StrictRoute
from mlops_assets.serving.pages.rendering import page

TITLES = {
    403: "Not by you",
    404: "There is no such thing",
    409: "Not as things are",
    422: "Something is missing",
    503: "Not now",
}


class PageRoute(StrictRoute):
    """A route whose errors are pages; what is ours to mend goes on to the log as everywhere."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with its errors caught."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except PlatformError as error:
                status = status_of(error)[0]
                if status == 500:
                    raise
                return problem(request, status, str(error))
            except RequestValidationError as error:
                return problem(request, 422, " ".join(_sentence(each) for each in error.errors()))
            except HTTPException as error:
                return problem(request, error.status_code, str(error.detail))

        return handled


def problem(request: Request, status: int, message: str) -> Response:
    """Return the page of an error."""
    return page(
        request,
        "problem.html.j2",
        status=status,
        title=TITLES.get(status, "It did not work"),
        message=message,
        back=request.url.path if request.method == "POST" else "/",
        request_id=request.scope.get("request_id", ""),
    )


def _sentence(error: Any) -> str:
    field = str(error["loc"][-1]) if error["loc"] else "the request"
    return f"{field}: {error['msg'].removeprefix('Value error, ')}."
