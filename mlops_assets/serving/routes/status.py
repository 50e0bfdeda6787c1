"""What the platform is doing now: lines, versions, rollouts, queues and counts."""

from typing import Annotated, Any

from fastapi import APIRouter, Request

from mlops_assets.serving.access import Caller, requires

router = APIRouter(tags=["status"])


@router.get("/pipeline/status")
def status(request: Request, caller: Annotated[Caller, requires("viewer")]) -> dict[str, Any]:
    """Return the state of every line."""
    platform = request.app.state.platform
    return {"lines": {line.line: platform.events.count(line.line) for line in platform.lines()}}
