"""`mlops reviews`: questions that wait for a person, and their answers."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from mlops_assets.cli import progress
from mlops_assets.cli.batches import describe, exit_code
from mlops_assets.cli.context import actor, line, platform
from mlops_assets.cli.output import Json, answer, table
from mlops_assets.core.errors import NotFound
from mlops_assets.core.ports import Review
from mlops_assets.core.records import ReviewAnswer
from mlops_assets.lifecycle import decide, status

app = typer.Typer(no_args_is_help=True, help="Questions that wait for a person.")
DecisionId = Annotated[str, typer.Argument(metavar="DECISION", help="Decision id, or the start of one.")]
Reason = Annotated[str, typer.Option(help="Why; it is written into the ledger and the model card.")]
Reviewer = Annotated[str | None, typer.Option(help="Who answers; default: you.")]


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(metavar="[LINE]")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Answered ones, too.")] = False,
    json: Json = False,
) -> None:
    """List the questions that wait, of one line or of all."""
    found = platform().reviews.list(line(name).line if name else None, open_only=not everything)
    rows = [(each.decision_id[:12], each.line, each.batch_id, each.asked_at, each.question) for each in found]
    answer(
        [each.model_dump(mode="json") for each in found],
        lambda out: out.print(table("Reviews", ("decision", "line", "batch", "asked", "question"), rows)),
    )


@app.command("approve")
def approve(decision: DecisionId, reason: Reason, reviewer: Reviewer = None, json: Json = False) -> None:
    """Approve: the candidate is released, if production is still what it was judged against."""
    _answer(decision, True, reason, reviewer)


@app.command("reject")
def reject(decision: DecisionId, reason: Reason, reviewer: Reviewer = None, json: Json = False) -> None:
    """Reject: the batch and its candidate go to quarantine."""
    _answer(decision, False, reason, reviewer)


def _answer(decision: str, approve: bool, reason: str, reviewer: str | None) -> None:
    from mlops_assets.components.running import continue_batch

    review = _find(decision)
    given = ReviewAnswer(
        approve=approve,
        reviewer=reviewer or actor(),
        reason=reason,
        answered_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    decide.answer(platform(), review.decision_id, given)
    chosen = line(review.line)
    with progress.bar(platform(), [(chosen, review.batch_id)]):
        continue_batch(platform(), chosen, review.batch_id)
    document = status.show(platform(), chosen, review.batch_id)
    answer(document, lambda out: describe(out, document))
    raise typer.Exit(exit_code(document))


def _find(prefix: str) -> Review:
    found = [each for each in platform().reviews.list() if each.decision_id.startswith(prefix)]
    if len(found) != 1:
        waiting = ", ".join(each.decision_id[:12] for each in platform().reviews.list(open_only=True)) or "none"
        raise NotFound(f"'{prefix}' names {len(found)} reviews.", f"Waiting: {waiting}.")
    return found[0]
