"""JSON that somebody sent, read strictly: no key twice, no NaN, no number beyond a float's range, not too deep or wide.

Whatever reads JSON in C keeps Python to itself until it is done, in a thread as well: 0.2 us a number, 1 us a list,
2 us a key. So it is how many values a document holds that is bounded here, beside the bytes of its body.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from mlops_assets.core.rows import parsed

DEEPEST = 64  # objects and lists within one another
LARGE = 65_536  # bytes from which on a document is read beside the loop
MOST_COMMAS = 2**18  # which are read within some 0.1 s
TOO_DEEP = f"The body has more than {DEEPEST} objects and lists within one another."
TOO_MANY = f"The body has more than {MOST_COMMAS:,} commas: send so many values in several requests."


def strict_json(data: bytes) -> Any:
    """Return what a JSON document holds; ValueError with a sentence for what no client should send."""
    if data.count(b",") > MOST_COMMAS:
        raise ValueError(TOO_MANY)
    try:
        value = parsed(data.decode())
    except UnicodeDecodeError:
        raise ValueError("The body is not UTF-8.") from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except ValueError as error:
        raise ValueError(f"The body is no JSON: {error}.") from None
    # Counting brackets is a hundred times quicker than walking the value, and mostly enough.
    if data.count(b"[") + data.count(b"{") > DEEPEST and _deeper(value):
        raise ValueError(TOO_DEEP)
    return value


async def read_json(data: bytes) -> Any:
    """Return what `strict_json` does; large documents one at a time and in a thread: ten megabytes take seconds."""
    if len(data) < LARGE:
        return strict_json(data)
    return await asyncio.get_running_loop().run_in_executor(_large, strict_json, data)


class StrictRequest(Request):
    """A request whose JSON is read strictly."""

    async def json(self) -> Any:
        """Return what the body holds, once read."""
        if not hasattr(self, "_strict"):
            try:
                self._strict = strict_json(await self.body())
            except ValueError as error:
                raise HTTPException(422, str(error)) from None
        return self._strict


class StrictRoute(APIRoute):
    """A route that reads JSON strictly: `APIRouter(route_class=StrictRoute)`; the app takes no other with a body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


_large = ThreadPoolExecutor(1, "large-json")


def _deeper(value: Any) -> bool:
    """Say whether more than the allowed objects and lists are within one another."""
    layer = [value]
    for _ in range(DEEPEST):
        layer = [inner for each in layer for inner in _inside(each) if isinstance(inner, dict | list)]
    return bool(layer)


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
