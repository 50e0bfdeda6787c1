"""`/v1/lines`: lines and their versions, and the verbs that move them, for machines."""

from typing import Annotated, Any

from fastapi import APIRouter, Request

from mlops_assets.lifecycle import status
from mlops_assets.lifecycle.deployment import serving_history
from mlops_assets.serving import moves
from mlops_assets.serving.asked import DeployWish, RetireWish, RollbackWish, Wish, line_of, platform_of
from mlops_assets.serving.door.access import Caller, requires
from mlops_assets.serving.door.strict import StrictRoute
from mlops_assets.serving.moves import Move, Verb

router = APIRouter(prefix="/v1/lines", route_class=StrictRoute, tags=["versions"])
Viewer = Annotated[Caller, requires("viewer")]
Reviewer = Annotated[Caller, requires("reviewer")]
Admin = Annotated[Caller, requires("admin")]


@router.get("")
def lines(request: Request, caller: Viewer) -> list[dict[str, Any]]:
    """Return the lines with what serves, and what is being rolled out."""
    platform = platform_of(request)
    return [
        {"line": line.line, "family": line.family, "description": line.description}
        | platform.versions.pointer(line.line).model_dump(mode="json", exclude={"line"})
        for line in platform.lines()
    ]


@router.get("/{line}/versions")
def versions(request: Request, line: str, caller: Viewer) -> dict[str, Any]:
    """Return a line's versions, what it serves now, and what it served when."""
    platform, chosen = platform_of(request), line_of(request, line)
    return {
        **platform.versions.pointer(line).model_dump(mode="json"),
        "versions": status.versions(platform, chosen),
        "history": [each.model_dump(mode="json") for each in serving_history.history(platform, chosen)],
    }


@router.post("/{line}/rollback")
def rollback(request: Request, line: str, wish: RollbackWish, caller: Reviewer) -> dict[str, Any]:
    """Take the rollout back to 0 % at once, else serve the last good version, or a named one, again."""
    return _moved(request, line, "rollback", caller, wish)


@router.post("/{line}/deploy")
def deploy(request: Request, line: str, wish: DeployWish, caller: Admin) -> dict[str, Any]:
    """Let an existing version serve, by the line's strategy or the given one."""
    return _moved(request, line, "deploy", caller, wish)


@router.post("/{line}/advance")
def advance(request: Request, line: str, wish: Wish, caller: Admin) -> dict[str, Any]:
    """Give a canary its next share of users."""
    return _moved(request, line, "advance", caller, wish)


@router.post("/{line}/promote")
def promote(request: Request, line: str, wish: Wish, caller: Admin) -> dict[str, Any]:
    """Give the version that is being rolled out all users."""
    return _moved(request, line, "promote", caller, wish)


@router.post("/{line}/retire")
def retire(request: Request, line: str, wish: RetireWish, caller: Admin) -> dict[str, Any]:
    """Let a version never serve again."""
    return _moved(request, line, "retire", caller, wish)


def _moved(request: Request, line: str, verb: Verb, caller: Caller, wish: Wish) -> dict[str, Any]:
    platform = platform_of(request)
    moves.make(platform, line_of(request, line), Move(verb=verb, actor=caller.name, **wish.model_dump()))
    return platform.versions.pointer(line).model_dump(mode="json")
