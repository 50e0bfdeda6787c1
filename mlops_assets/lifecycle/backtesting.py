"""A line's whole history decided again under another policy, and what its releases turned out to be worth.

Every decision is made again on the evidence it had: bounds are worked out again from the stored scores where the other
policy asks for other ones, and looks and openings count as they did then. What a release was worth is measured on data
that arrived later, which neither the version nor the one before it had seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from mlops_assets.core.dataset import read_items
from mlops_assets.core.digests import canonical_json
from mlops_assets.core.errors import PlatformError
from mlops_assets.core.line import Line
from mlops_assets.core.policy import Policy
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.base import Check, Record
from mlops_assets.core.records.data import Item, Origin, ValidatedData
from mlops_assets.core.records.decision import Decision, Evidence, Verdict
from mlops_assets.core.statistics import Scores, compare_all
from mlops_assets.lifecycle.decide.promoting import SEALED, SEEDS
from mlops_assets.lifecycle.decide.recorded import analyst_reply, stored_policy
from mlops_assets.lifecycle.decide.replaying import recorded_decisions
from mlops_assets.lifecycle.decide.rules import verdict
from mlops_assets.lifecycle.evaluation import comparing
from mlops_assets.lifecycle.evaluation.predictions import predict
from mlops_assets.lifecycle.evaluation.rescoring import rescored
from mlops_assets.lifecycle.progress import progress_file

# The parts of a policy that numbers in the evidence depend on; any other part is about what is made of them.
NUMBERS = {"primary", "business", "protected", "critical_margin", "alpha", "resamples", "seed"}
BUDGETS = {"looks_budget", "openings_budget"}
UNKNOWABLE = (
    "A release that flips would have changed what came after it: later candidates were trained from it and measured "
    "against it. Every decision is made again on the evidence it had.",
    "People's answers, and the analyst's, are taken to be the same for the other policy's question.",
    "What the agent did not buy then (the sealed set, more seeds, other settings) is not bought now.",
)


class Retrial(Record):
    """One decision as it was, and as it would be under the other policy."""

    decision_id: str
    batch_id: str
    was: Verdict
    would_be: Verdict | None
    why: str = Field(description="The first check that comes out otherwise")
    version: int | None = Field(description="The version that it was released as")
    flips: bool
    remarks: tuple[str, ...] = ()


class Worth(Record):
    """A released version against the one before it, on data that arrived later and neither had seen.

    `delta` and its one-sided bounds are in the metric's unit, positive: the release was a gain. Without them,
    `not_measured` says why.
    """

    version: int
    previous: int | None
    metric: str
    delta: float | None = None
    lower: float | None = None
    upper: float | None = None
    items: int = 0
    origin: Origin | None = None
    sources: tuple[str, ...] = Field(default=(), description="Batches and sets that the items came from")
    not_measured: str = ""
    rolled_back: tuple[str, ...] = Field(default=(), description="Why it was rolled back from, each time it was")


class Backtest(Record):
    """The history of a line under another policy."""

    line: str
    policy: str = Field(description="Digest of the other policy")
    retrials: tuple[Retrial, ...]
    worth: tuple[Worth, ...]
    undecided: int = Field(description="Batches that were refused before there was anything to decide")
    unknowable: tuple[str, ...] = UNKNOWABLE


def backtest(platform: Platform, line: Line, policy: Policy) -> Backtest:
    """Decide the whole history of a line again under another policy; nothing is recorded.

    Predictions that are not known yet are made, in processes as for an evaluation.
    """
    decisions = recorded_decisions(platform, line.line)
    versions = {each.decision_id: each.version for each in platform.versions.list(line.line) if each.decision_id}
    decided = {each.batch_id for each in decisions}
    return Backtest(
        line=line.line,
        policy=policy.digest,
        retrials=tuple(_again(platform, line, policy, each, versions.get(each.decision_id)) for each in decisions),
        worth=tuple(_worth(platform, line, policy, decisions)),
        undecided=sum(
            isinstance(data := platform.records.get(line.line, each.batch_id, "validated_data"), ValidatedData)
            and not data.accepted
            and each.batch_id not in decided
            for each in platform.batches.list(line.line)
        ),
    )


def _again(platform: Platform, line: Line, policy: Policy, decision: Decision, version: int | None) -> Retrial:
    made = Retrial(
        decision_id=decision.decision_id,
        batch_id=decision.batch_id,
        was=decision.verdict,
        would_be=None,
        why="",
        version=version,
        flips=False,
    )
    try:
        evidence = _evidence(platform, line, policy, decision)
    except PlatformError as error:
        return made.model_copy(update={"why": f"It cannot be decided again: {error}"})
    reply, remarks = analyst_reply(decision), []
    if reply is not None and (policy.analyst is None or policy.analyst.model not in _asked(decision)):
        reply = None
        remarks.append("The analyst's reply of then does not count: the policy has another analyst, or none.")
    ruling = verdict(evidence, policy, decision.review, reply)
    checks = (*ruling.gates, *ruling.statistics)
    failed = {check.name for check in checks if not check.passed}
    if policy.analyst is not None and reply is None and ruling.statistics and ruling.verdict != "REJECT":
        remarks.append("The analyst would be asked; what it would say is not known.")
    if failed and failed <= {SEALED, SEEDS}:
        remarks.append("More evidence would be bought first (sealed set, seeds); what it would show is not known.")
    if decision.review is not None and ruling.verdict != "APPROVE" and decision.review.approve:
        remarks.append("A person approved it, and would not be asked.")
    if decision.review is None and ruling.verdict == "HUMAN_REVIEW" and decision.verdict != "HUMAN_REVIEW":
        remarks.append("A person would be asked, and was not.")
    if decision.review is not None and verdict(evidence, policy, None, reply).verdict == "APPROVE":
        remarks.append("No person would be needed.")
    return made.model_copy(
        update={
            "would_be": ruling.verdict,
            "why": _first_change((*decision.gates, *decision.statistics), checks),
            "flips": ruling.verdict != decision.verdict,
            "remarks": tuple(remarks),
        }
    )


def _evidence(platform: Platform, line: Line, policy: Policy, decision: Decision) -> Evidence:
    """Return a decision's evidence under another policy, its numbers made again if they depend on what differs."""
    evidence = decision.evidence
    if policy.digest == decision.policy_digest:
        return evidence
    if _numbers(stored_policy(platform.store, decision.policy_digest)) != _numbers(policy):
        return rescored(platform, line, evidence, policy)
    return evidence.model_copy(update={"policy": policy.digest})


def _numbers(policy: Policy) -> object:
    return policy.model_dump(include=NUMBERS | BUDGETS), policy.gates.sample_degradation_threshold


def _asked(decision: Decision) -> set[str]:
    return {each.model for each in decision.exchanges if each.purpose == "verdict"}


def _first_change(before: Sequence[Check], after: Sequence[Check]) -> str:
    """Return what the first check that comes out otherwise says; one that was not made counts as passed."""
    passed = {check.name: check.passed for check in before}
    changed = [check for check in after if check.passed != passed.get(check.name, True)]
    return next((check.explanation for check in sorted(changed, key=lambda check: check.passed)), "")


@dataclass(frozen=True)
class _Fresh:
    """Items that came later, with where they came from."""

    name: str
    dataset: str
    origin: Origin


def _worth(platform: Platform, line: Line, policy: Policy, decisions: Sequence[Decision]) -> Iterator[Worth]:
    made = {each.decision_id: each for each in decisions}
    versions = {each.version: each for each in platform.versions.list(line.line)}
    for version in versions.values():
        decision = made.get(version.decision_id or "")
        if decision is None:
            continue
        previous = versions.get(decision.evidence.production_version or 0)
        rolled_back = [
            str(entry.body["reason"])
            for entry in platform.ledger.entries(line.line, "rolled_back")
            if entry.body["from"] == version.version
        ]
        worth = Worth(
            version=version.version,
            previous=previous and previous.version,
            metric=policy.primary.metric,
            rolled_back=tuple(rolled_back),
        )
        if previous is None:
            yield worth.model_copy(update={"not_measured": "It is the first version: there is none before it."})
            continue
        try:
            yield _measured(platform, line, policy, worth, (version, previous), decision, decisions)
        except PlatformError as error:
            yield worth.model_copy(update={"not_measured": str(error)})


def _measured(
    platform: Platform,
    line: Line,
    policy: Policy,
    worth: Worth,
    versions: tuple[Version, Version],
    decision: Decision,
    decisions: Sequence[Decision],
) -> Worth:
    seen, fresh = _seen(platform, line, decision), list(_later(platform, line, decision, decisions))
    family = platform.family(line.family)
    config = family.Config.model_validate(line.config)
    metric = comparing.primary_metric(family.metrics(config), line.model_copy(update={"policy": policy}))
    measure = comparing.measure(metric)
    columns: tuple[dict[str, list[list[float]]], ...] = ({}, {})
    clusters: list[str] = []
    used: list[_Fresh] = []
    progress = progress_file(platform, line.line, "backtest")
    for each in fresh:
        items = read_items(platform.store.folder(each.dataset))
        chosen = [at for at, item in enumerate(items) if _mark(item) not in seen]
        if not chosen:
            continue
        used.append(each)
        clusters += [items[at].cluster for at in chosen]
        for column, version in zip(columns, versions, strict=True):
            answers = predict(platform, line, version.servable, {"later": each.dataset}, progress).predictions["later"]
            scores = family.score([items[at] for at in chosen], [answers[at] for at in chosen], config)
            for name in measure.columns:
                column.setdefault(name, []).extend([one[name].numerator, one[name].weight] for one in scores)
        seen |= {_mark(items[at]) for at in chosen}
    if not used:
        return worth.model_copy(update={"not_measured": "No data arrived since that neither version had seen."})
    new, old = ({name: _columns(rows) for name, rows in column.items()} for column in columns)
    found = compare_all(
        {metric.name: measure},
        new,
        old,
        clusters,
        alpha=policy.alpha,
        margins={},
        resamples=policy.resamples,
        seed=policy.seed,
    ).get(metric.name)
    if found is None or found.delta is None:
        return worth.model_copy(update={"not_measured": f"The later data gives {metric.name} no weight."})
    origins = {each.origin for each in used}
    return worth.model_copy(
        update={
            "delta": found.delta,
            "lower": found.lower,
            "upper": found.upper,
            "items": len(clusters),
            "origin": origins.pop() if len(origins) == 1 else "mixed",
            "sources": tuple(each.name for each in used),
        }
    )


def _columns(rows: Sequence[Sequence[float]]) -> Scores:
    table = np.array(rows)
    return table[:, 0], table[:, 1]


def _later(platform: Platform, line: Line, decision: Decision, decisions: Sequence[Decision]) -> Iterator[_Fresh]:
    """Yield the data that a version is measured on: later batches that were released, later golden sets."""
    released = {each.batch_id for each in platform.versions.list(line.line)}
    before = platform.batches.get(line.line, decision.batch_id).sequence
    for batch in platform.batches.list(line.line):
        data = platform.records.get(line.line, batch.batch_id, "validated_data")
        if batch.sequence > before and batch.batch_id in released and isinstance(data, ValidatedData):
            yield _Fresh(f"batch {batch.batch_id}", data.dataset, data.origin)
    golden = {
        each.dataset: _Fresh(f"{each.name} set {each.dataset[:12]}", each.dataset, each.origin)
        for later in decisions
        for each in later.evidence.sets
        if each.kind == "golden"
    }
    known = _known_golden(decision, decisions)
    yield from (each for dataset, each in golden.items() if dataset not in known)


def _known_golden(decision: Decision, decisions: Sequence[Decision]) -> set[str]:
    """Return the golden sets there were up to a decision."""
    upto = next(at for at, each in enumerate(decisions) if each.decision_id == decision.decision_id)
    return {dataset for each in decisions[: upto + 1] for dataset in each.evidence.golden.values()}


def _seen(platform: Platform, line: Line, decision: Decision) -> set[str]:
    """Return the mark of every item that a version may have learnt from, or was judged on."""
    upto = platform.batches.get(line.line, decision.batch_id).sequence
    records: list[object] = [
        platform.records.get(line.line, batch.batch_id, "validated_data")
        for batch in platform.batches.list(line.line)
        if batch.sequence <= upto
    ]
    datasets = [each.dataset for each in records if isinstance(each, ValidatedData)]
    datasets += [each.dataset for each in decision.evidence.sets if each.kind != "holdout"]
    return {_mark(item) for dataset in dict.fromkeys(datasets) for item in read_items(platform.store.folder(dataset))}


def _mark(item: Item) -> str:
    """Return what an item is known again by: its fingerprints together, else its id."""
    return canonical_json(item.fingerprints) if item.fingerprints else item.id
