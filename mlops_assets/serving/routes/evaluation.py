"""How good a version was found to be, for source 004's `evaluate_model`."""

from typing import Annotated

from fastapi import APIRouter, Request

from mlops_assets.lifecycle.evaluation.scored import Scored, scored
from mlops_assets.serving.asked import line_of, platform_of
from mlops_assets.serving.door.access import Caller, requires

router = APIRouter(tags=["versions"])


@router.get("/v1/lines/{line}/versions/{version}/evaluation")
def evaluation(request: Request, line: str, version: int, caller: Annotated[Caller, requires("viewer")]) -> Scored:
    """Return the scores of a version, with their intervals, from the evaluation that its release was decided by."""
    return scored(platform_of(request), line_of(request, line), version)
