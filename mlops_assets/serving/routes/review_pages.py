"""The pages of a reviewer: the queue, a question with its evidence and samples, and the answer."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from mlops_assets.core.errors import NotFound
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.lifecycle.decide.questions import question
from mlops_assets.serving.asked import Reply, as_form, platform_of, reply
from mlops_assets.serving.door.access import Caller, requires
from mlops_assets.serving.pages.problems import PageRoute
from mlops_assets.serving.pages.rendering import REPORT_POLICY, page
from mlops_assets.serving.pages.reviewing import queue, review_page
from mlops_assets.serving.pages.samples import media

router = APIRouter(prefix="/review", route_class=PageRoute, include_in_schema=False)
Viewer = Annotated[Caller, requires("viewer")]


@router.get("")
def waiting(request: Request, caller: Viewer) -> Response:
    """The questions that wait, and those that were closed lately."""
    return page(request, "reviews.html.j2", view=queue(platform_of(request)))


@router.get("/{decision_id}")
def show(request: Request, decision_id: str, caller: Viewer) -> Response:
    """One question: evidence, samples, and the form that answers it."""
    view = review_page(platform_of(request), decision_id, caller.name)
    return page(request, "review.html.j2", view=view)


@router.post("/{decision_id}")
def answer(
    request: Request,
    decision_id: str,
    said: Annotated[as_form(Reply), Form()],  # pyright: ignore[reportInvalidTypeForm, reportGeneralTypeIssues]
    caller: Annotated[Caller, requires("reviewer")],
) -> Response:
    """Approve or reject; see `decide.answer`."""
    reply(platform_of(request), decision_id, caller, said)
    return RedirectResponse(f"/review/{decision_id}", 303)


@router.get("/{decision_id}/evidence")
def evidence(request: Request, decision_id: str, caller: Viewer) -> Response:
    """The recorded page of the decision, with all of its evidence."""
    platform = platform_of(request)
    asked = question(platform, platform.reviews.get(decision_id))
    return _report(request, asked.decision)


@router.get("/{decision_id}/evaluation")
def evaluation(request: Request, decision_id: str, caller: Viewer) -> Response:
    """The recorded page of the evaluation, with its plots."""
    platform = platform_of(request)
    review = platform.reviews.get(decision_id)
    report = platform.records.get(review.line, review.batch_id, "eval_report")
    return _report(request, report if isinstance(report, EvalReport) else None)


@router.get("/{decision_id}/samples/{set_name}/{item:path}")
def sample(request: Request, decision_id: str, set_name: str, item: str, caller: Viewer) -> Response:
    """The recording or picture of one item of the batch, or of a set that it was judged on."""
    platform = platform_of(request)
    review = platform.reviews.get(decision_id)
    found = media(platform, review.line, review.batch_id, set_name, item)
    return FileResponse(
        found.path,
        media_type=found.content_type,
        filename=found.name,
        content_disposition_type="inline",
        headers={"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"},
    )


def _report(request: Request, made: Decision | EvalReport | None) -> Response:
    if made is None or made.page is None:
        raise NotFound("There is no such page: the batch is judged anew, or was never judged.")
    text = platform_of(request).store.read_bytes(made.page)
    return Response(text, media_type="text/html; charset=utf-8", headers=REPORT_POLICY)
