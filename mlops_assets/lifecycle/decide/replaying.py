"""Decisions made again: from stored evidence, stored policy and the answers they were given, and from nothing else."""

import functools
import math
from collections.abc import Iterable, Iterator

from pydantic import Field, JsonValue

from mlops_assets.core.errors import NotFound, PlatformError
from mlops_assets.core.line import Line
from mlops_assets.core.policy import Policy
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.decision import Decision, Evidence, FailureAnalysis, Verdict
from mlops_assets.lifecycle.decide.failing import analyse
from mlops_assets.lifecycle.decide.recorded import (
    analyst_reply,
    digest_as_written,
    judging_code,
    replayed,
    rules_code,
    stored_policy,
)
from mlops_assets.lifecycle.decide.rewording import reworded
from mlops_assets.lifecycle.decide.rules import verdict
from mlops_assets.lifecycle.decide.ruling import Ruling
from mlops_assets.lifecycle.evaluation.rescoring import rescored

ROUNDING = 1e-9  # the last bits of a sum depend on the processor
NUMBERS = ("sets", "comparisons", "confusions", "calibrations", "compression", "cross_checks", "scan")
LABELS = ("name", "set_name", "metric", "slice", "test", "system", "label", "predicted")  # what tells rows apart


class Difference(Record):
    """A place where a replay differs from what was recorded, with what is there in each; null: nothing."""

    where: str
    recorded: JsonValue
    replayed: JsonValue


class Replay(Record):
    """What came of making a decision again."""

    decision_id: str
    line: str
    batch_id: str
    recorded: Verdict
    replayed: Verdict | None
    differences: tuple[Difference, ...] = ()
    problem: str = Field(default="", description="Why it could not be made again")
    from_scores: str = Field(default="", description="What came of the numbers: 'identical', or why not made again")
    decided_by: str = Field(description="The code that decided")
    replayed_by: str = Field(description="The code that replayed it")

    @property
    def identical(self) -> bool:
        """Whether it was made again, and nothing differs."""
        return not self.problem and not self.differences


class Replayer:
    """Replays decisions of one home; it needs no line but for numbers made again from scores."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lines = {line.line: line for line in platform.lines()}
        self._policies = functools.cache(functools.partial(stored_policy, platform.store))

    def replay(self, decision: Decision, *, from_scores: bool = False) -> Replay:
        """Make a decision again and say what differs; `from_scores` makes its numbers again, too."""
        line = self._lines.get(decision.line)
        found: list[Difference] = []
        replay = Replay(
            decision_id=decision.decision_id,
            line=decision.line,
            batch_id=decision.batch_id,
            recorded=decision.verdict,
            replayed=None,
            decided_by=decision.evidence.code_version,
            replayed_by=judging_code(self._platform, line) if line else f"rules {rules_code()}",
        )
        try:
            policy = self._policies(decision.policy_digest)
        except PlatformError as error:
            return replay.model_copy(update={"problem": str(error)})
        digest = digest_as_written(decision.evidence)
        found += differences(decision.evidence_digest, digest, "evidence digest")
        found += differences(decision.policy_digest, decision.evidence.policy, "policy digest")
        ruling = replayed(decision, policy)
        found += differences(_recorded(decision, ruling).model_dump(mode="json"), ruling.model_dump(mode="json"))
        found += differences(_json(decision.analysis), _json(_analysed(decision, policy)), "analysis")
        said = ""
        if from_scores:
            said, numbers = self._numbers(line, decision.evidence, policy)
            found += numbers
        return replay.model_copy(update={"replayed": ruling.verdict, "differences": tuple(found), "from_scores": said})

    def _numbers(self, line: Line | None, evidence: Evidence, policy: Policy) -> tuple[str, list[Difference]]:
        if line is None:
            return f"not made again: no line '{evidence.line}' is declared here", []
        try:
            again = rescored(self._platform, line, evidence, policy)
        except PlatformError as error:
            return f"not made again: {error}", []
        before, after = (each.model_dump(mode="json", include={*NUMBERS}) for each in (evidence, again))
        found = list(differences(before, after))
        return "different" if found else "identical", found


def recorded_decisions(platform: Platform, line: str | None = None) -> list[Decision]:
    """Return every decision of a home (or of one line) as it was concluded, in the order they were made."""
    entries = [entry for kind in ("decided", "reviewed") for entry in platform.ledger.entries(line, kind)]
    places = {str(entry.body["decision"]): entry.sequence for entry in reversed(entries)}
    declared = {known.line for known in platform.lines()}
    lines = {line} if line is not None else {entry.line for entry in entries} | declared
    batches = ((name, batch.batch_id) for name in sorted(lines) for batch in platform.batches.list(name))
    return sorted(_of(platform, batches), key=lambda each: places.get(each.decision_id, math.inf))


def find_decision(platform: Platform, start: str) -> Decision:
    """Return the decision whose id begins so; NotFound for none or several."""
    entries = platform.ledger.entries(kind="decided")
    batches = [
        (entry.line, entry.batch_id)
        for entry in entries
        if entry.batch_id is not None and str(entry.body["decision"]).startswith(start)
    ]
    decisions = _of(platform, dict.fromkeys(batches)) or recorded_decisions(platform)
    found = [each for each in decisions if each.decision_id.startswith(start)]
    if len(found) != 1:
        raise NotFound(f"'{start}' names {len(found)} decisions.", "`mlops decisions list` shows them.")
    return found[0]


def _of(platform: Platform, batches: Iterable[tuple[str, str]]) -> list[Decision]:
    """Return the decisions on some batches, each as it was last recorded."""
    found = {
        record.decision_id: record
        for line, batch_id in batches
        for record in platform.records.history(line, batch_id, "decision")
        if isinstance(record, Decision)
    }
    return list(found.values())


def differences(recorded: JsonValue, replayed: JsonValue, where: str = "") -> Iterator[Difference]:
    """Yield the places where two JSON values differ; numbers are equal within a billionth of them."""
    match recorded, replayed:
        case (dict(), dict()):
            keys = dict.fromkeys([*recorded, *replayed])
            pairs = [(key, recorded.get(key), replayed.get(key)) for key in keys]
        case (list(), list()):
            before, after = _labelled(recorded), _labelled(replayed)
            pairs = [(key, before.get(key), after.get(key)) for key in dict.fromkeys([*before, *after])]
        case _:
            if not _equal(recorded, replayed):
                yield Difference(where=where, recorded=recorded, replayed=replayed)
            return
    for key, old, new in pairs:
        yield from differences(old, new, f"{where}: {key}" if where else key)


def _equal(one: JsonValue, other: JsonValue) -> bool:
    numbers = [each for each in (one, other) if isinstance(each, int | float) and not isinstance(each, bool)]
    return math.isclose(*numbers, rel_tol=ROUNDING, abs_tol=ROUNDING) if len(numbers) == 2 else one == other


def _labelled(values: Iterable[JsonValue]) -> dict[str, JsonValue]:
    """Name the elements of a list: by what tells them apart if that is what they have, else by their place."""
    listed = list(values)
    names = [
        " ".join(str(each[key]) for key in LABELS if each.get(key) is not None) if isinstance(each, dict) else ""
        for each in listed
    ]
    unique = all(names) and len(set(names)) == len(names)
    return dict(zip(names if unique else map(str, range(1, len(listed) + 1)), listed, strict=True))


def _recorded(decision: Decision, again: Ruling) -> Ruling:
    """Return what was recorded as a ruling; a question goes on, after the ruling's, with what the analysis adds."""
    question = decision.question
    if question is not None and again.question is not None and question.startswith(again.question):
        question = again.question
    return Ruling(
        verdict=decision.verdict,
        reasons=decision.reasons,
        gates=decision.gates,
        statistics=decision.statistics,
        question=question,
    )


def _analysed(decision: Decision, policy: Policy) -> FailureAnalysis | None:
    """Return the failure analysis that was due before any person answered, worded as the language model worded it."""
    before = verdict(decision.evidence, policy, None, analyst_reply(decision))
    if before.verdict == "APPROVE":
        return None
    analysis = analyse(decision.evidence, policy, before)
    said = next((each for each in decision.exchanges if each.purpose == "wording"), None)
    words = reworded(analysis.paragraph, said) if said is not None else None
    if said is None or words is None:
        return analysis
    return analysis.model_copy(update={"paragraph": words, "worded_by": said.model})


def _json(record: Record | None) -> JsonValue:
    return None if record is None else record.model_dump(mode="json")
