"""`why`: whether a training on what was collected should start, and the whole reason; `trigger`: to act on it.

A training starts if everything that is needed is so (`needed`), and any one of the other groups of conditions is so as
a whole: enough new examples (004), enough error cases (003), or too high an error rate (003).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from mlops_assets.core.clock import utc_text
from mlops_assets.core.events import Kind, Prediction
from mlops_assets.core.line import Line
from mlops_assets.core.ports.intake import Batch
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Record
from mlops_assets.lifecycle.collection.gathering import cursor, gather, hold, last_gathering, unfinished
from mlops_assets.lifecycle.collection.learnable import Learnable, learnable
from mlops_assets.lifecycle.status import status

ALPHA = 0.05
SAMPLE = 1_000  # latest events by which the share of predictions that somebody saw is told
UNDER_WAY = ("RECEIVED", "VALIDATED", "TRAINED", "EVALUATED", "DECIDED")
MIN_ITEMS = "policy.data.min_items"
Group = Literal["needed", "examples", "errors", "error rate"]
REASONS: tuple[Group, ...] = ("examples", "errors", "error rate")


class Condition(Record):
    """One condition of a training: its value against its limit, and what that means in a sentence."""

    name: str = Field(description="The setting that it is about")
    group: Group
    value: float | str | None
    limit: float | str | None
    met: bool
    sentence: str
    todo: str = ""


class Why(Record):
    """Why a training on collected data starts now, or does not."""

    line: str
    at: str
    start: bool
    sentence: str
    conditions: tuple[Condition, ...]
    counts: dict[Kind, int] = Field(description="Events since the last gathering, by kind")
    examples: int = Field(description="What can be learned from among them")
    left_out: dict[str, int] = Field(description="What cannot, by reason")
    after: int = Field(description="Sequence up to which events were gathered")
    last_training: str | None = Field(description="When the line was last trained, or its events gathered")
    next_at: str | None = Field(description="When the interval allows the next training; None: now")


@dataclass(frozen=True)
class Triggered:
    """What came of a look: the batch that was made, if one was, and why."""

    why: Why
    batch: Batch | None


def trigger(platform: Platform, line: Line, now: datetime, *, actor: str, force: bool = False) -> Triggered:
    """Gather what was collected if a training should start; a gathering that was interrupted is always finished.

    With `force` (003 `force_trigger`) counts, rates and interval are left out of account; that a batch has to have
    `policy.data.min_items` is not, for a smaller one would only be set aside. Busy while somebody else gathers.
    """
    with hold(platform, line):
        resumed = unfinished(platform, line) is not None
        found = why(platform, line, now)
        wanted = all(each.met for each in found.conditions if each.name == MIN_ITEMS) if force else found.start
        return Triggered(found, gather(platform, line, actor=actor) if resumed or wanted else None)


def why(platform: Platform, line: Line, now: datetime) -> Why:
    """Return every condition with its value, its limit and a sentence; nothing is changed."""
    found = learnable(platform, line, after=cursor(platform, line))
    counts = platform.events.count(line.line, after=found.after)
    last = _last_training(platform, line)
    next_at = None if last is None else last + timedelta(hours=line.triggers.retrain_interval_hours)
    conditions = (
        _automatic(line),
        _interval(line, now, last, next_at),
        _free(platform, line),
        _enough(line, found),
        _examples(line, found),
        *_errors(line, found),
        _error_rate(platform, line, found, counts),
    )
    start = _starts(conditions)
    return Why(
        line=line.line,
        at=utc_text(now),
        start=start,
        sentence=_sentence(line, conditions, start),
        conditions=conditions,
        counts=counts,
        examples=len(found.examples),
        left_out=dict(found.left_out),
        after=found.after,
        last_training=None if last is None else utc_text(last),
        next_at=None if next_at is None or next_at <= now else utc_text(next_at),
    )


def _starts(conditions: Sequence[Condition]) -> bool:
    return _all_met(conditions, "needed") and any(_all_met(conditions, group) for group in REASONS)


def _all_met(conditions: Sequence[Condition], group: Group) -> bool:
    return all(each.met for each in conditions if each.group == group)


def _sentence(line: Line, conditions: Sequence[Condition], start: bool) -> str:
    """Say what decides: the reasons of a training, or what stands against it."""
    if start:
        due = [each.sentence for each in conditions if each.group in REASONS and _all_met(conditions, each.group)]
        return f"A training of {line.line} should start. {' '.join(due)}"
    missing = [each.sentence for each in conditions if each.group == "needed" and not each.met]
    if not any(_all_met(conditions, group) for group in REASONS):
        missing += [each.sentence for each in conditions if each.group in REASONS and not each.met]
    return f"No training of {line.line} should start. {' '.join(missing)}"


def _automatic(line: Line) -> Condition:
    on = line.triggers.auto_retrain
    return Condition(
        name="triggers.auto_retrain",
        group="needed",
        value=str(on).lower(),
        limit="true",
        met=on,
        sentence="It may train by itself." if on else "It does not train by itself (triggers.auto_retrain: false).",
        todo="" if on else f"Set triggers.auto_retrain: true, or start one: mlops train {line.line}",
    )


def _interval(line: Line, now: datetime, last: datetime | None, next_at: datetime | None) -> Condition:
    hours = line.triggers.retrain_interval_hours
    passed = None if last is None else (now - last) / timedelta(hours=1)
    met = next_at is None or next_at <= now
    if passed is None or next_at is None:
        sentence = "It was not trained yet."
    else:
        sentence = f"Its last training was {passed:.1f} hours ago; {hours:g} are to pass between two"
        sentence += "." if met else f", until {next_at:%Y-%m-%d %H:%M} UTC."
    return Condition(
        name="triggers.retrain_interval_hours",
        group="needed",
        value=None if passed is None else round(passed, 2),
        limit=hours,
        met=met,
        sentence=sentence,
        todo="" if met else f"Wait, or start one: mlops train {line.line} --force",
    )


def _free(platform: Platform, line: Line) -> Condition:
    """Say whether the last batch of events has come to its end, or to the person it waits for."""
    last = last_gathering(platform, line)
    batch_id = None if last is None else last.batch_id
    at = "" if batch_id is None else status(platform, line, batch_id)
    met = at not in UNDER_WAY
    return Condition(
        name="the last batch of events",
        group="needed",
        value=at or None,
        limit=None,
        met=met,
        sentence="No batch of events is under way."
        if met
        else f"Batch {batch_id} of events is still under way ({at}).",
        todo="" if met else f"Wait for it, or carry it on: mlops run {line.line} {batch_id}",
    )


def _enough(line: Line, found: Learnable) -> Condition:
    count, least = len(found.examples), line.policy.data.min_items
    met = count >= least
    lost = sum(found.left_out.values())
    sentence = f"{count} new examples; a batch of the line has at least {least}"
    sentence += f", and {lost} reports cannot be learned from." if lost else "."
    todo = "" if met else "Collect more corrections or ratings."
    if not met and lost:
        reasons = "; ".join(f"{reason} ({times})" for reason, times in found.left_out.items())
        todo = f"{reasons}. Inputs are kept from then on with collection.keep_payloads: true."
    return Condition(
        name=MIN_ITEMS, group="needed", value=count, limit=least, met=met, sentence=sentence, todo=todo
    )  # fmt: skip


def _examples(line: Line, found: Learnable) -> Condition:
    count, wanted = len(found.examples), line.triggers.retrain_threshold
    said = f"There are {count} new examples; {wanted} start a training."
    return _at_least("triggers.retrain_threshold", "examples", count, wanted, said)


def _errors(line: Line, found: Learnable) -> tuple[Condition, Condition]:
    cases, corrected = found.error_cases, found.corrected_cases
    wanted, mended = line.triggers.min_error_cases, line.triggers.min_corrected_cases
    share = f" ({corrected / cases:.0%})" if cases else ""
    reported = f"{cases} answers were reported wrong; {wanted} start a training."
    said = f"{corrected} of them were corrected{share}; it takes {mended}."
    return (
        _at_least("triggers.min_error_cases", "errors", cases, wanted, reported),
        _at_least("triggers.min_corrected_cases", "errors", corrected, mended, said),
    )


def _at_least(name: str, group: Group, value: int, limit: int, sentence: str) -> Condition:
    return Condition(name=name, group=group, value=value, limit=limit, met=value >= limit, sentence=sentence)


def _error_rate(platform: Platform, line: Line, found: Learnable, counts: Mapping[Kind, int]) -> Condition:
    """Judge by the Clopper-Pearson lower bound (1934): a few wrong answers of a few are no rate yet."""
    threshold = line.triggers.error_rate_threshold
    answered = max(_answered(platform, line, found, counts), found.wrong)
    lower = _lower(found.wrong, answered)
    met = line.triggers.trigger_on_error_rate and lower >= threshold
    if not answered:
        sentence = "Nothing was predicted, so there is no error rate."
    else:
        sentence = (
            f"{found.wrong} of {answered} answers were reported wrong ({found.wrong / answered:.1%}, surely more than "
            f"{lower:.1%}); {threshold:.0%} start a training."
        )
    off = "" if line.triggers.trigger_on_error_rate else " That does not count here (triggers.trigger_on_error_rate)."
    return Condition(
        name="triggers.error_rate_threshold",
        group="error rate",
        value=round(found.wrong / answered, 4) if answered else None,
        limit=threshold,
        met=met,
        sentence=sentence + off,
    )


def _answered(platform: Platform, line: Line, found: Learnable, counts: Mapping[Kind, int]) -> int:
    """Return how many predictions somebody saw; beyond the latest thousand events, by the share there."""
    after = max(found.after, platform.events.last(line.line) - SAMPLE)
    latest = [each.event for each in platform.events.read(line.line, kind="prediction", after=after, limit=SAMPLE)]
    seen = sum(isinstance(each, Prediction) and each.arm in ("production", "canary") for each in latest)
    total = counts.get("prediction", 0)
    return round(total * seen / len(latest)) if latest else total


def _lower(count: int, total: int) -> float:
    """Return the one-sided 95 % lower bound of a share of `count` in `total`, in 0..1."""
    from scipy.special import betaincinv

    return float(betaincinv(count, total - count + 1, ALPHA)) if count else 0.0


def _last_training(platform: Platform, line: Line) -> datetime | None:
    entries = [
        each for kind in ("trained", "gathered") for each in platform.ledger.entries(line.line, kind, newest=1)
    ]  # fmt: skip
    return max((datetime.fromisoformat(each.at) for each in entries), default=None)
