"""A line beside its challenger, for machines."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from mlops_assets.core.contrast import Contrast
from mlops_assets.core.errors import NotFound
from mlops_assets.serving.door.access import Caller, requires

router = APIRouter(tags=["compare"])


@router.get("/v1/lines/{line}/compare")
def compare(
    request: Request,
    line: str,
    caller: Annotated[Caller, requires("viewer")],
    days: Annotated[int, Query(ge=1, le=365, description="Days of live requests to look back on")] = 30,
) -> Contrast:
    """Compare a line with its challenger on the requests that both answered; nobody is asked anything for it."""
    from mlops_assets.lifecycle.challenge.contrasting import contrast

    platform: Any = request.app.state.platform
    chosen = next((each for each in platform.lines() if each.line == line), None)
    if chosen is None:
        raise NotFound(f"There is no line '{line}'.", "GET /v1/lines lists them.")
    now = platform.clock()
    return contrast(platform, chosen, since=now - timedelta(days=days), until=now)
