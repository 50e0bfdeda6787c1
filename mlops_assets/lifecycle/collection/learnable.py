"""What of the events that a line collected can be learned from, and how often its answers were reported wrong."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from mlops_assets.core.digests import canonical_json
from mlops_assets.core.events import Correction, Feedback, Prediction, Reported, StoredEvent, Usage
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.rows import LONGEST_LINE
from mlops_assets.lifecycle.collection.keeping import kept_file, was_kept

PAGE = 1_000  # events that are read at once
MOST_REPORTS = 20_000  # that become one batch; later ones become the next
MOST_BYTES = 1 << 28  # of rows and files in one batch, unless a single one has more
BAD_RATING = 2  # of 5: from here down, an answer counts as reported wrong
REPLACED = "a later report about the same answer counts"
TOO_LONG = f"its row would have more than {LONGEST_LINE} characters"
GONE = "the file of its input is gone"


@dataclass(frozen=True)
class Example:
    """A row that can be learned from, and the name and place of the file it names (None for families of values)."""

    row: dict[str, JsonValue]
    user: str | None
    sent_by: str | None
    file: tuple[str, Path] | None = None
    size: int = 0


@dataclass(frozen=True)
class Learnable:
    """What was reported in (after, until], and what of it can be learned from, in order.

    An error case is an answer that was corrected to something else or rated 2 of 5 or worse; `wrong` counts those of
    them whose prediction is known and was an answer to somebody.
    """

    after: int
    until: int
    examples: tuple[Example, ...]
    left_out: Mapping[str, int]
    error_cases: int
    corrected_cases: int
    wrong: int

    @property
    def users(self) -> tuple[str, ...]:
        """Who reported what can be learned from, as far as they are known."""
        return tuple(sorted({each.user for each in self.examples if each.user}))

    @property
    def senders(self) -> tuple[str, ...]:
        """Under which keys that was sent."""
        return tuple(sorted({each.sent_by for each in self.examples if each.sent_by}))


def learnable(platform: Platform, line: Line, *, after: int, until: int | None = None) -> Learnable:
    """Read what was reported after one sequence up to another, the latest by default.

    Of several reports about one answer the last counts: of corrections whoever's, of ratings each user's own. More than
    one batch may hold is left for the next: `until` of what is returned says where it ends.
    """
    end = platform.events.last(line.line) if until is None else until
    reports = sorted(
        (each for kind in ("correction", "feedback") for each in _between(platform, line, kind, after, end)),
        key=lambda each: each.sequence,
    )
    if len(reports) > MOST_REPORTS:
        reports = reports[:MOST_REPORTS]
        end = reports[-1].sequence
    last = {_about(each): each.sequence for each in reports}
    found, size = _Found(), 0
    family = platform.family(line.family)
    config = family.Config.model_validate(line.config)
    for sequence, key, reported in _told(platform, line, reports, after, end, files=family.media != "json"):
        if last[key] != sequence:
            found.left_out[REPLACED] += 1
            continue
        row = family.example(reported, config)
        made = _example(platform, line, row, reported) if isinstance(row, dict) else row
        if isinstance(made, Example):
            size += made.size
            if size > MOST_BYTES and found.examples:
                end = sequence - 1
                break
            found.examples.append(made)
        elif made:
            found.left_out[made] += 1
        found.judge(reported)
    return found.within(after, end)


class _Found:
    def __init__(self) -> None:
        self.examples: list[Example] = []
        self.left_out: Counter[str] = Counter()
        self.cases: set[str] = set()
        self.corrected: set[str] = set()
        self.wrong: set[str] = set()

    def judge(self, reported: Reported) -> None:
        """Count an answer that was reported wrong, once."""
        event, answered = reported.event, reported.prediction
        if isinstance(event, Correction):
            if answered is not None and answered.label == event.target:
                return
            self.corrected.add(event.prediction_id)
        elif event.rating > BAD_RATING:
            return
        case = event.prediction_id or f"report:{event.event_id}"
        self.cases.add(case)
        if answered is not None and answered.arm in ("production", "canary"):
            self.wrong.add(case)

    def within(self, after: int, until: int) -> Learnable:
        return Learnable(
            after=after,
            until=until,
            examples=tuple(self.examples),
            left_out=dict(sorted(self.left_out.items())),
            error_cases=len(self.cases),
            corrected_cases=len(self.corrected),
            wrong=len(self.wrong),
        )


def _between(
    platform: Platform, line: Line, kind: Literal["correction", "feedback", "usage"], after: int, until: int
) -> Iterator[StoredEvent]:
    """Yield a kind's events in (after, until]; of corrections and feedback no more than a batch holds, and one."""
    count = 0
    while page := platform.events.read(line.line, kind=kind, after=after, limit=PAGE):
        some = list(takewhile(lambda each: each.sequence <= until, page))
        yield from some
        count += len(some)
        if len(some) < len(page) or (kind != "usage" and count > MOST_REPORTS):
            return
        after = page[-1].sequence


def _about(stored: StoredEvent) -> str:
    """Return what a report is about: two with the same replace one another."""
    event = stored.event
    match event:
        case Correction():
            return f"correction:{event.prediction_id}"
        case Feedback(prediction_id=str(known)):
            return f"feedback:{known}:{event.user or ''}"
        case _:
            return f"report:{event.event_id}"


def _told(
    platform: Platform, line: Line, reports: Sequence[StoredEvent], after: int, until: int, *, files: bool
) -> Iterator[tuple[int, str, Reported]]:
    """Yield sequence and subject of each report, and what is known of the answer it is about."""
    rated = {each.event.prediction_id for each in reports if isinstance(each.event, Feedback)} - {None}
    used: dict[str | None, Usage] = {}
    for each in _between(platform, line, "usage", after, until) if rated else ():
        if isinstance(each.event, Usage) and each.event.prediction_id in rated:
            used[each.event.prediction_id] = each.event
    for some in _chunks(reports):
        ids = {each.event.prediction_id for each in some if isinstance(each.event, Correction | Feedback)} - {None}
        known = platform.events.find(line.line, [name for name in ids if name is not None])
        for each in some:
            if isinstance(each.event, Correction | Feedback):
                name = each.event.prediction_id
                prediction = known[name].event if name in known else None
                answered = prediction if isinstance(prediction, Prediction) else None
                yield (
                    each.sequence,
                    _about(each),
                    Reported(
                        received_at=each.received_at,
                        event=each.event,
                        prediction=answered,
                        usage=used.get(name),
                        sent_by=each.sent_by,
                        file=f"files/{each.sequence}" if files and answered and was_kept(answered) else None,
                    ),
                )


def _chunks(reports: Sequence[StoredEvent]) -> Iterator[Sequence[StoredEvent]]:
    return (reports[at : at + PAGE] for at in range(0, len(reports), PAGE))


def _example(platform: Platform, line: Line, row: dict[str, JsonValue], reported: Reported) -> Example | str:
    """Return a row with its file, or why it cannot be used after all."""
    size = len(canonical_json(row))
    if size > LONGEST_LINE:
        return TOO_LONG
    if reported.file is None or reported.prediction is None:
        return Example(row, reported.user, reported.sent_by, size=size)
    path = kept_file(platform, line.line, reported.prediction)
    if path is None:
        return GONE
    return Example(row, reported.user, reported.sent_by, (reported.file, path), size + path.stat().st_size)
