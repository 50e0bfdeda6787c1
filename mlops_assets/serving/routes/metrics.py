"""Prometheus' view of this gateway."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from mlops_assets.serving.door.access import Caller, requires
from mlops_assets.serving.metrics import CONTENT_TYPE

router = APIRouter(tags=["metrics"])


@router.get("/metrics", response_class=Response)
async def metrics(request: Request, caller: Annotated[Caller, requires("viewer")]) -> Response:
    """Return requests, latencies, queues, predictions and events in Prometheus' text format."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE)
