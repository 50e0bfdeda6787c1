"""What a classifier takes for what, how sure it is of it, and what its compression cost.

A person acts on "confuses verde with hoja 15 % more often than v2", not on a macro-F1. The share of a label's items
that are taken for another label is a ratio of sums like every metric, so its change has bounds as well.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import JsonValue

from mlops_assets.core.family import Family, MetricSpec
from mlops_assets.core.policy import Policy
from mlops_assets.core.records.evaluation import (
    Calibration,
    Compression,
    Confusion,
    ConfusionPair,
    System,
    SystemReport,
)
from mlops_assets.core.statistics import Scores, compare, compare_all
from mlops_assets.lifecycle.evaluation.comparing import ScoredSet, measure

SHOWN_PAIRS = 5
BINS = 10
CALIBRATED: tuple[System, ...] = ("candidate", "production")


def confusion(scored: ScoredSet, family: Family, labels: Sequence[str], policy: Policy) -> Confusion | None:
    """Count a set by label and prediction; None for a family without labels or an unmeasured candidate."""
    if not labels or "candidate" not in scored.predictions:
        return None
    truth = [family.show(item.target) for item in scored.items]
    said = {system: [family.show(each) for each in scored.predictions[system]] for system in scored.predictions}
    production = said.get("production")
    return Confusion(
        set_name=scored.name,
        origin=scored.origin,
        labels=tuple(labels),
        candidate=_matrix(labels, truth, said["candidate"]),
        production=None if production is None else _matrix(labels, truth, production),
        pairs=_pairs(scored, truth, said["candidate"], production, policy),
    )


def calibrations(scored: ScoredSet, family: Family, labels: Sequence[str]) -> list[Calibration]:
    """Compare confidence with accuracy for candidate and production; none for a family without labels."""
    found = []
    for system in CALIBRATED if labels and scored.items else ():
        if system not in scored.predictions:
            continue
        sure = np.array([_confidence(each) for each in scored.predictions[system]])
        right = np.array(
            [
                family.show(each) == family.show(item.target)
                for each, item in zip(scored.predictions[system], scored.items, strict=True)
            ]
        )
        at = np.minimum((sure * BINS).astype(int), BINS - 1)
        bins = tuple(
            (float(sure[at == bin].mean()), float(right[at == bin].mean()), int((at == bin).sum()))
            for bin in range(BINS)
            if (at == bin).any()
        )
        error = sum(abs(confidence - accuracy) * n for confidence, accuracy, n in bins) / len(sure)
        found.append(Calibration(set_name=scored.name, system=system, error=error, bins=bins))
    return found


def compression(
    scored: ScoredSet, family: Family, primary: MetricSpec, policy: Policy, systems: Mapping[System, SystemReport]
) -> Compression | None:
    """Compare the exported candidate with its full-precision twin by the primary metric; None where there is none."""
    if not {"candidate", "reference"} <= {*scored.predictions} & {*systems} or not scored.items:
        return None
    answers = zip(scored.predictions["candidate"], scored.predictions["reference"], strict=True)
    made = {"": measure(primary)}
    candidate = scored.columns("candidate", made.values(), scored.everything()) or {}
    found = compare_all(
        made,
        candidate,
        scored.columns("reference", made.values(), scored.everything()),
        [item.cluster for item in scored.items],
        alpha=policy.alpha,
        margins={},
        resamples=policy.resamples,
        seed=policy.seed,
    ).get("")
    if found is None or found.delta is None:
        return None
    ours, twin = systems["candidate"], systems["reference"]
    return Compression(
        set_name=scored.name,
        metric=primary.name,
        n=found.n,
        agreement=float(np.mean([family.show(ours) == family.show(theirs) for ours, theirs in answers])),
        delta=found.delta,
        lower=found.lower,
        upper=found.upper,
        size_ratio=ours.size_bytes / twin.size_bytes,
        latency_ratio=ours.seconds_per_unit / twin.seconds_per_unit if twin.seconds_per_unit else 1.0,
    )


def _confidence(prediction: JsonValue) -> float:
    value = prediction.get("confidence") if isinstance(prediction, dict) else None
    return float(value) if isinstance(value, int | float) else 1.0


def _matrix(labels: Sequence[str], truth: Sequence[str], said: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    counts = Counter(zip(truth, (each if each in labels else None for each in said), strict=True))
    return tuple(tuple(counts[label, found] for found in (*labels, None)) for label in labels)


def _pairs(
    scored: ScoredSet, truth: Sequence[str], said: Sequence[str], before: Sequence[str] | None, policy: Policy
) -> tuple[ConfusionPair, ...]:
    """Return the confusions whose share changed most, the ones that grew first; without production the commonest."""
    mistakes = Counter(pair for pair in zip(truth, said, strict=True) if pair[0] != pair[1])
    earlier = Counter(pair for pair in zip(truth, before or (), strict=bool(before)) if pair[0] != pair[1])
    members = Counter(truth)
    moved = {
        (label, found): (mistakes[label, found] - earlier[label, found]) / members[label]
        for label, found in {**mistakes, **earlier}
    }
    ordered = sorted(moved, key=lambda pair: (-moved[pair], pair))
    shown = ordered[:SHOWN_PAIRS] + [pair for pair in ordered[SHOWN_PAIRS:][-SHOWN_PAIRS:] if moved[pair] < 0]
    return tuple(_pair(scored, pair, truth, said, before, policy) for pair in shown)


def _pair(
    scored: ScoredSet,
    pair: tuple[str, str],
    truth: Sequence[str],
    said: Sequence[str],
    before: Sequence[str] | None,
    policy: Policy,
) -> ConfusionPair:
    label, predicted = pair
    chosen = [index for index, each in enumerate(truth) if each == label]

    def column(answers: Sequence[str]) -> Scores:
        return np.array([float(answers[index] == predicted) for index in chosen]), np.ones(len(chosen))

    found = compare(
        column(said),
        None if before is None else column(before),
        [scored.items[index].cluster for index in chosen],
        higher_is_better=True,
        alpha=policy.alpha,
        margin=0.0,
        resamples=policy.resamples,
        seed=policy.seed,
    )
    return ConfusionPair(
        label=label,
        predicted=predicted,
        n=len(chosen),
        candidate=found.candidate,
        production=found.production,
        delta=found.delta,
        lower=found.lower,
        upper=found.upper,
    )
