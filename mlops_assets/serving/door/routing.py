"""Which route a request is for and the role it needs, known before anything of the request's body is read."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import ASGIApp

from mlops_assets.core.serving import AccessRole
from mlops_assets.serving.door.access import Needs

REMEMBERED = 4_096  # paths whose route is not looked for again


@dataclass(frozen=True)
class Target:
    """The route a request is for."""

    path: str
    role: AccessRole
    parameters: Mapping[str, Any]
    app: ASGIApp | None = None  # that answers it, where no more of FastAPI is needed


class DirectRoute(APIRoute):
    """A route that FastAPI describes, and plain ASGI answers: its endpoint is marked by `answered_by`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.app = self.endpoint.answered_by  # pyright: ignore[reportFunctionMemberAccess]

    @staticmethod
    def answered_by(app: ASGIApp) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Let an ASGI app answer the requests of the endpoint below it, which is never called."""

        def mark(endpoint: Callable[..., Any]) -> Callable[..., Any]:
            endpoint.answered_by = app  # pyright: ignore[reportFunctionMemberAccess]
            return endpoint

        return mark


class RouteTable:
    """The routes of an app with their roles; a route that names none cannot be served (TypeError)."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = [(each, *_described(each)) for each in routes]
        self.find = functools.lru_cache(REMEMBERED)(self._find)

    def roles(self) -> dict[tuple[str, str], AccessRole]:
        """Return the role of every method and path."""
        return {
            (method, path): role
            for route, path, role in self._routes
            for method in sorted(getattr(route, "methods", None) or {"GET"})
        }

    def _find(self, method: str, path: str) -> Target | None:
        scope = {"type": "http", "method": method, "path": path}
        partly: Target | None = None
        for route, name, role in self._routes:
            match, found = route.matches(scope)
            if match is Match.NONE:
                continue
            direct = route.app if isinstance(route, DirectRoute) else None
            target = Target(name, role, found.get("path_params", {}), direct)
            if match is Match.FULL:
                return target
            partly = partly or Target(name, "viewer", target.parameters)
        return partly


def _described(route: BaseRoute) -> tuple[str, AccessRole]:
    match route:
        case APIRoute():
            role = _role(route.dependant)
        case Mount():
            role = "viewer"
        case Route() if route.path == "/openapi.json":
            role = "viewer"
        case _:
            role = getattr(getattr(route, "endpoint", None), "role", None)
    path = getattr(route, "path", "")
    if role is None:
        raise TypeError(f"The route {path} names no role: give it a parameter `requires(...)`.")
    return path, role


def _role(dependant: Dependant) -> AccessRole | None:
    for each in dependant.dependencies:
        if isinstance(each.call, Needs):
            return each.call.role
        if role := _role(each):
            return role
    return None
