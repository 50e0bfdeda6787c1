"""What requests say, in strict schemas: an answer to a review, a move of a line's versions."""

from typing import Annotated, TypeVar

from fastapi import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from mlops_assets.core.errors import NotFound
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Decision, ReviewAnswer
from mlops_assets.core.serving import Strategy
from mlops_assets.lifecycle import decide
from mlops_assets.lifecycle.decide.pseudonyms import plain
from mlops_assets.serving.door.access import Caller

LONGEST_REASON = 2_000


def _said(text: str) -> str:
    said = plain(text, LONGEST_REASON)
    if not said:
        raise ValueError("a reason is needed: it is written into the ledger")
    return said


Reason = Annotated[str, Field(max_length=LONGEST_REASON), AfterValidator(_said)]


class Asked(BaseModel):
    """What a request's JSON says: a number is a number there, and `"yes"` is not `true`."""

    model_config = ConfigDict(extra="forbid", strict=True)


AnyAsked = TypeVar("AnyAsked", bound=Asked)


def as_form(asked: type[AnyAsked]) -> type[AnyAsked]:
    """Return the same as a form sends it: every value is a text."""
    return create_model(asked.__name__, __base__=asked, __config__=ConfigDict(strict=False))


class Reply(Asked):
    """A person's answer to a review; whose key it is answers."""

    approve: bool
    reason: Reason


class Wish(Asked):
    """Why a line is to be moved, and from which revision of its pointer, if the caller looked."""

    reason: Reason
    revision: int | None = Field(default=None, ge=0, description="409 if the line moved since; makes repeats harmless")


class RollbackWish(Wish):
    """`version`: the one to serve again; without it the rollout is taken back, or the last good version serves."""

    version: int | None = Field(default=None, ge=1)


class RetireWish(Wish):
    """The version that is never to serve again."""

    version: int = Field(ge=1)


class DeployWish(Wish):
    """The version that is to serve, and how; by the line's own strategy if none is named."""

    version: int = Field(ge=1)
    strategy: Strategy | None = None


def reply(platform: Platform, decision_id: str, caller: Caller, said: Reply) -> Decision:
    """Answer a review in the caller's name; see `decide.answer`."""
    given = ReviewAnswer(
        approve=said.approve,
        reviewer=caller.name,
        reason=said.reason,
        answered_at=platform.clock().isoformat(timespec="seconds"),
    )
    return decide.answer(platform, decision_id, given)


def platform_of(request: Request) -> Platform:
    """Return the platform that the app serves."""
    platform: Platform = request.app.state.platform
    return platform


def line_of(request: Request, name: str) -> Line:
    """Return a line by name; NotFound lists those there are."""
    lines = platform_of(request).lines()
    found = next((each for each in lines if each.line == name), None)
    if found is None:
        raise NotFound(f"There is no line '{name}'.", f"The lines are: {', '.join(each.line for each in lines)}.")
    return found
