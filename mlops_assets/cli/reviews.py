"""`mlops reviews`: questions that wait for a person, and their answers."""

from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console

from mlops_assets.cli import progress
from mlops_assets.cli.batches import end, tell
from mlops_assets.cli.context import actor, line, platform
from mlops_assets.cli.output import Json, answer, table
from mlops_assets.core.errors import NotFound
from mlops_assets.core.ports.accountability import Review
from mlops_assets.core.records.decision import ReviewAnswer
from mlops_assets.lifecycle import decide
from mlops_assets.lifecycle.decide.page import write_decision_page
from mlops_assets.lifecycle.decide.questions import document, question, questions, reminders
from mlops_assets.lifecycle.reminding import remind as send_reminders

app = typer.Typer(no_args_is_help=True, help="Questions that wait for a person.")
DecisionId = Annotated[str, typer.Argument(metavar="DECISION", help="Decision id, or the start of one.")]
Reason = Annotated[str, typer.Option(help="Why; it is written into the ledger and the model card.")]
Reviewer = Annotated[str | None, typer.Option(help="Who answers; default: you.")]


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(metavar="[LINE]")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Answered and overtaken ones, too.")] = False,
    json: Json = False,
) -> None:
    """List the questions that wait, of one line or of all."""
    now = platform().clock()
    found = questions(platform(), line(name).line if name else None, open_only=not everything)
    rows = [
        (
            each.review.decision_id[:12],
            each.review.line,
            each.review.batch_id,
            _waited(each.age(now)),
            reminders(platform(), each.review),
            each.closed or each.hindrance or "waits",
            each.asks,
        )
        for each in found
    ]
    columns = ("decision", "line", "batch", "asked", "reminders", "state", "question")
    answer([document(platform(), each, now) for each in found], lambda out: out.print(table("Reviews", columns, rows)))


@app.command("show")
def show(decision: DecisionId, json: Json = False) -> None:
    """Show a question: what would have to be true to approve, the page of its evidence, how long it has waited."""
    now = platform().clock()
    found = question(platform(), _find(decision))
    page = write_decision_page(platform(), found.decision) if found.decision else None
    shown = document(platform(), found, now) | {"page": str(page) if page else None}
    answer(shown, lambda out: _print(out, shown, found.asks))


@app.command("approve")
def approve(decision: DecisionId, reason: Reason, reviewer: Reviewer = None, json: Json = False) -> None:
    """Approve: the candidate is released, if production is still what it was judged against."""
    _answer(decision, True, reason, reviewer)


@app.command("reject")
def reject(decision: DecisionId, reason: Reason, reviewer: Reviewer = None, json: Json = False) -> None:
    """Reject: the batch and its candidate go to quarantine."""
    _answer(decision, False, reason, reviewer)


@app.command("remind")
def remind(json: Json = False) -> None:
    """Send the reminders that are due and let questions expire, as the daemon of `mlops up` does by itself."""
    from mlops_assets.components.running import continue_batch

    told = send_reminders(platform(), platform().clock())
    for each in told.expired:
        outcome = continue_batch(platform(), line(each.line), each.batch_id)
        tell(outcome.success, outcome.error)
    sent = {
        "reminded": [each.decision_id for each in told.reminded],
        "expired": [each.decision_id for each in told.expired],
    }
    answer(sent, lambda out: out.print(f"{len(told.reminded)} reminders, {len(told.expired)} expired."))


def _answer(decision: str, approve: bool, reason: str, reviewer: str | None) -> None:
    from mlops_assets.components.running import continue_batch

    review = _find(decision)
    given = ReviewAnswer(
        approve=approve,
        reviewer=actor() if reviewer is None else reviewer,
        reason=reason,
        answered_at=platform().clock().isoformat(timespec="seconds"),
    )
    decide.answer(platform(), review.decision_id, given)
    chosen = line(review.line)
    with progress.bar(platform(), [(chosen, review.batch_id)]):
        outcome = continue_batch(platform(), chosen, review.batch_id)
    tell(outcome.success, outcome.error)
    end(chosen, review.batch_id)


def _find(prefix: str) -> Review:
    found = [each for each in platform().reviews.list() if each.decision_id.startswith(prefix)]
    if len(found) != 1:
        waiting = ", ".join(each.review.decision_id[:12] for each in questions(platform())) or "none"
        problem = f"fits {len(found)} reviews" if found else "is no review"
        raise NotFound(f"'{prefix}' {problem}.", f"Waiting: {waiting}.")
    return found[0]


def _print(out: Console, shown: dict[str, Any], asks: str) -> None:
    def say(text: str, **more: Any) -> None:
        out.print(text, markup=False, highlight=False, **more)

    say(f"{shown['line']} {shown['batch_id']}: decision {shown['decision_id']}", style="bold")
    say(asks)
    for each in shown["reasons"]:
        say(f"- {each}")
    for title, key in (("To approve, this would have to be true:", "to_approve"), ("What would help:", "would_help")):
        if shown[key]:
            say(title, style="bold")
            for each in shown[key]:
                say(f"- {each}")
    say(f"asked {shown['age_hours']} hours ago, {shown['reminders']} reminders")
    if shown["page"]:
        say(f"page: {shown['page']}", soft_wrap=True)
    if shown["closed"] or shown["hindrance"]:
        say(shown["closed"] or shown["hindrance"])
    else:
        say(f"next: mlops reviews approve|reject {shown['decision_id'][:12]} --reason TEXT")


def _waited(age: timedelta) -> str:
    return f"{age / timedelta(hours=1):.1f} h ago"
