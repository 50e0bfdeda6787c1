"""`/v1/reviews`: the questions that wait for a person, for machines."""

from typing import Annotated, Any

from fastapi import APIRouter, Request

from mlops_assets.lifecycle.decide.questions import document, question, questions
from mlops_assets.serving.asked import Reply, platform_of, reply
from mlops_assets.serving.door.access import Caller, requires
from mlops_assets.serving.door.strict import StrictRoute

router = APIRouter(prefix="/v1/reviews", route_class=StrictRoute, tags=["reviews"])
Viewer = Annotated[Caller, requires("viewer")]


@router.get("")
def waiting(request: Request, caller: Viewer, line: str | None = None, closed: bool = False) -> list[dict[str, Any]]:
    """Return the questions that wait, oldest first; with `closed`, those that were settled, too."""
    platform, now = platform_of(request), platform_of(request).clock()
    return [document(platform, each, now) for each in questions(platform, line, open_only=not closed)]


@router.get("/{decision_id}")
def show(request: Request, decision_id: str, caller: Viewer) -> dict[str, Any]:
    """Return one question: what would have to be true to approve, and what became of it."""
    platform = platform_of(request)
    return document(platform, question(platform, platform.reviews.get(decision_id)), platform.clock())


@router.post("/{decision_id}")
def answer(
    request: Request, decision_id: str, said: Reply, caller: Annotated[Caller, requires("reviewer")]
) -> dict[str, Any]:
    """Approve or reject in the name of the key: the first answer counts, the same one again changes nothing.

    403 for a batch of one's own; 409 if somebody answered otherwise, or production or policy changed meanwhile.
    """
    reply(platform_of(request), decision_id, caller, said)
    return show(request, decision_id, caller)
