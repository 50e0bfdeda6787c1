"""A decision made again: from its stored evidence, its stored policy and the answers it was given, nothing else.

The evidence may have been written by an earlier release, whose records lacked fields that are filled in now; what was
written is what counts, so digests are those of the JSON as it was stored.
"""

import functools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import Field, JsonValue, ValidationError

from mlops_assets.core.digests import sha256_file, sha256_json, tree_digest
from mlops_assets.core.errors import Corrupt, NotFound, PlatformError
from mlops_assets.core.line import Line
from mlops_assets.core.policy import Policy
from mlops_assets.core.ports import ArtifactStore, Platform
from mlops_assets.core.records import AnalystReply, Decision, Evidence, Record, Verdict
from mlops_assets.lifecycle.decide.rules import verdict
from mlops_assets.lifecycle.decide.ruling import Ruling
from mlops_assets.lifecycle.rescoring import rescored

LIFECYCLE = Path(__file__).parents[1]
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
            replayed_by=judging_code(self._platform, line) if line else f"rules {_rules()}",
        )
        try:
            policy = self._policies(decision.policy_digest)
        except PlatformError as error:
            return replay.model_copy(update={"problem": str(error)})
        digest = digest_as_written(decision.evidence)
        found += differences(decision.evidence_digest, digest, "evidence digest")
        found += differences(decision.policy_digest, decision.evidence.policy, "policy digest")
        ruling = replayed(decision, policy)
        found += differences(_recorded(decision).model_dump(mode="json"), ruling.model_dump(mode="json"))
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
    found = {
        record.decision_id: record
        for name in sorted(lines)
        for batch in platform.batches.list(name)
        for record in platform.records.history(name, batch.batch_id, "decision")
        if isinstance(record, Decision)
    }
    return sorted(found.values(), key=lambda each: places.get(each.decision_id, math.inf))


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


def _recorded(decision: Decision) -> Ruling:
    return Ruling(
        verdict=decision.verdict,
        reasons=decision.reasons,
        gates=decision.gates,
        statistics=decision.statistics,
        question=decision.question,
    )


def digest_as_written(record: Record) -> str:
    """Return the digest of a record that was read back: without the fields that its writer did not know."""
    return sha256_json(record.model_dump(mode="json", exclude_unset=True))


def stored_policy(store: ArtifactStore, digest: str) -> Policy:
    """Return the policy that a decision was made by; NotFound if it was not kept, Corrupt if it cannot be read."""
    try:
        return Policy.model_validate_json(store.read_bytes(digest))
    except NotFound:
        raise NotFound(
            f"The policy {digest[:12]} is not in the artifact store.",
            "Decisions made before policies were kept cannot be replayed; copy `artifacts` along with the home.",
        ) from None
    except ValidationError as error:
        raise Corrupt(
            f"The policy {digest[:12]} is not one that this release can read: {error}.",
            "Replay with the release that decided (the evidence names its code).",
        ) from None


def replayed(decision: Decision, policy: Policy) -> Ruling:
    """Return the ruling on a decision's evidence, given the answers that it recorded."""
    return verdict(decision.evidence, policy, decision.review, analyst_reply(decision))


def analyst_reply(decision: Decision) -> AnalystReply | None:
    """Return what the analyst last said of a decision, if it was asked and answered."""
    asked = [each.reply for each in decision.exchanges if each.purpose == "verdict"]
    return asked[-1] if asked else None


def judging_code(platform: Platform, line: Line) -> str:
    """Return the version of the code that measures and judges a line's candidates: its family's, and the rules'."""
    return f"{platform.code_version(line.family)}.{_rules()}"


@functools.cache
def _rules() -> str:
    paths = [*LIFECYCLE.glob("decide/*.py"), *(LIFECYCLE / f"{name}.py" for name in ("comparing", "evaluate"))]
    return tree_digest({path.relative_to(LIFECYCLE).as_posix(): sha256_file(path) for path in paths})[:12]
