"""The pages a person uses: lines, one line, its versions and how to move them."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from mlops_assets.core.errors import NotFound
from mlops_assets.core.records.decision import Decision
from mlops_assets.serving import moves
from mlops_assets.serving.asked import DeployWish, RetireWish, RollbackWish, Wish, as_form, line_of, platform_of
from mlops_assets.serving.door.access import Caller, requires
from mlops_assets.serving.moves import ROLES, Move, Verb
from mlops_assets.serving.pages.lines import line_page, overview
from mlops_assets.serving.pages.problems import PageRoute
from mlops_assets.serving.pages.rendering import REPORT_POLICY, assets, page
from mlops_assets.serving.pages.versions import confirmation, versions_page

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Viewer = Annotated[Caller, requires("viewer")]
FORMS: dict[Verb, type[Wish]] = {
    "rollback": as_form(RollbackWish),
    "deploy": as_form(DeployWish),
    "advance": as_form(Wish),
    "promote": as_form(Wish),
    "retire": as_form(RetireWish),
}


@router.get("/")
def lines(request: Request, caller: Viewer) -> Response:
    """Every line: what serves, what is on its way, how well it does, what happened lately."""
    return page(request, "overview.html.j2", view=overview(platform_of(request), platform_of(request).clock()))


@router.get("/static/{name}")
def static(name: str, caller: Viewer) -> Response:
    """The style and the script of the pages."""
    asset = assets().get(name)
    if asset is None:
        raise NotFound(f"There is no file '{name}'.")
    kept = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(asset.content, media_type=asset.content_type, headers=kept)


@router.get("/lines/{line}")
def line(request: Request, line: str, caller: Viewer) -> Response:
    """One line: traffic, rollout, health over time, batches."""
    shown = line_page(platform_of(request), line_of(request, line), platform_of(request).clock())
    return page(request, "line.html.j2", page=shown, view=shown.view)


@router.get("/lines/{line}/batches/{batch_id}/decision")
def decision(request: Request, line: str, batch_id: str, caller: Viewer) -> Response:
    """The recorded page of the decision on a batch."""
    platform = platform_of(request)
    made = platform.records.get(line_of(request, line).line, batch_id, "decision")
    if not isinstance(made, Decision) or made.page is None:
        raise NotFound(f"Batch {batch_id} of {line} has no decision.")
    return Response(platform.store.read_bytes(made.page), media_type="text/html; charset=utf-8", headers=REPORT_POLICY)


@router.get("/lines/{line}/versions")
def versions(request: Request, line: str, caller: Viewer) -> Response:
    """What a line served, serves, and can be brought back to."""
    shown = versions_page(platform_of(request), line_of(request, line), platform_of(request).clock())
    return page(request, "versions.html.j2", page=shown, view=shown.view, roles=ROLES)


def _confirmation(verb: Verb) -> Callable[..., Response]:
    def ask(
        request: Request, line: str, caller: Annotated[Caller, requires(ROLES[verb])], version: int | None = None
    ) -> Response:
        asked = confirmation(platform_of(request), line_of(request, line), verb, version, platform_of(request).clock())
        return page(request, "confirm.html.j2", asked=asked, view=asked.view)

    return ask


def _move(verb: Verb) -> Callable[..., Response]:
    def move(
        request: Request,
        line: str,
        wish: Annotated[FORMS[verb], Form()],  # pyright: ignore[reportInvalidTypeForm, reportGeneralTypeIssues]
        caller: Annotated[Caller, requires(ROLES[verb])],
    ) -> Response:
        chosen = line_of(request, line)
        moves.make(platform_of(request), chosen, Move(verb=verb, actor=caller.name, **wish.model_dump()))
        return RedirectResponse(f"/lines/{line}/versions", 303)

    return move


for _verb in FORMS:
    router.add_api_route(f"/lines/{{line}}/{_verb}", _confirmation(_verb), methods=["GET"], name=f"ask_{_verb}")
    router.add_api_route(f"/lines/{{line}}/{_verb}", _move(_verb), methods=["POST"], name=_verb)
