"""Hard gates: rules over the evidence that reject when they fail, and that nobody can override.

A gate that has nothing to compare with (no production version yet) is left out, never passed; that the comparison is
missing is the statistical rule's business, and keeps a candidate from being approved.
"""

from collections.abc import Iterator

from mlops_assets.core.policy import Policy
from mlops_assets.core.records.base import Check
from mlops_assets.core.records.decision import Evidence
from mlops_assets.core.records.evaluation import Comparison, SetKind, SetResult

OTHER_SUITES: tuple[SetKind, ...] = ("benchmark", "edge")
SUITES: tuple[SetKind, ...] = ("critical", *OTHER_SUITES)


def gates(evidence: Evidence, policy: Policy) -> tuple[Check, ...]:
    """Apply every gate that the evidence has numbers for."""
    return (
        _infra(evidence),
        *_data(evidence, policy),
        *_absolute(evidence, policy),
        *_degraded(evidence, policy),
        *suites(evidence, policy, *(SUITES if policy.gates.fail_on_critical_degradation else OTHER_SUITES)),
        *_cost(evidence, policy),
        *_compressed(evidence, policy),
    )


def primary(evidence: Evidence, policy: Policy, set_name: str) -> Comparison | None:
    """Return the comparison of the primary metric on a set, if it was measured."""
    return measured(evidence, policy.primary.metric, set_name)


def measured(evidence: Evidence, metric: str, set_name: str, slice_id: str | None = None) -> Comparison | None:
    """Return one comparison on a set, or on one slice of it, if it was measured."""
    wanted = (metric, set_name, slice_id)
    return next((each for each in evidence.comparisons if (each.metric, each.set_name, each.slice) == wanted), None)


def sets_of(evidence: Evidence, *kinds: SetKind) -> list[str]:
    """Return the names of the evaluated sets of some kinds."""
    return [each.name for each in evidence.sets if each.kind in kinds]


def opened_set(evidence: Evidence) -> SetResult | None:
    """Return the sealed set of this line, if it was opened."""
    return next((each for each in evidence.sets if each.kind == "sealed" and each.dataset == evidence.sealed), None)


def suites(evidence: Evidence, policy: Policy, *kinds: SetKind) -> Iterator[Check]:
    """Bound the loss on each suite of some kinds, and the samples that lost; within the margin is 'not worse'."""
    for each in evidence.sets:
        comparison = primary(evidence, policy, each.name)
        if each.kind not in kinds or comparison is None or comparison.delta is None or comparison.production is None:
            continue
        critical = each.kind == "critical"
        margin = policy.critical_margin if critical else policy.primary.margin
        limit = policy.gates.critical_degradation_threshold if critical else policy.gates.suite_degradation_threshold
        loss, base = -comparison.delta, abs(comparison.production)
        yield Check(
            name=f"{each.name}: degradation",
            passed=loss <= margin or loss <= limit * base,
            observed=round(loss / base, 6) if base else ("loss from zero" if loss > 0 else 0.0),
            limit=limit,
            explanation=f"{comparison.metric} on the {each.kind} suite {each.name} went from "
            f"{comparison.production:.4f} to {comparison.candidate:.4f}; a loss of {limit:.0%} of production, "
            f"or of {margin:.4f}, is allowed.",
        )
        most = policy.gates.max_failed_samples_rate
        yield _at_most(
            f"{each.name}: samples failed",
            each.failed_share,
            most,
            f"{each.failed_share:.1%} of the {each.n} samples of the {each.kind} suite {each.name} are worse than in "
            f"production by more than {policy.gates.sample_degradation_threshold:.0%}; {most:.1%} is allowed.",
        )


def _infra(evidence: Evidence) -> Check:
    return Check(
        name="serving",
        passed=evidence.infra_ok,
        explanation="The exported candidate loads in a fresh process and answers through the gateway's code as scored."
        if evidence.infra_ok
        else "The exported candidate does not load in a fresh process, or does not answer through the gateway's code "
        "as scored; its log is in the quarantine bundle.",
    )


def _data(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    limits = policy.data
    yield _at_least(
        "items",
        evidence.kept,
        limits.min_items,
        f"{evidence.kept} items of the batch are usable; {limits.min_items} are needed.",
    )
    yield _at_least(
        "data quality",
        evidence.quality_score,
        limits.min_quality,
        f"Data quality is {evidence.quality_score:.1f} of 10; {limits.min_quality:.1f} is needed.",
    )
    yield _at_most(
        "dropped items",
        evidence.dropped_share,
        limits.max_dropped_share,
        f"{evidence.dropped_share:.1%} of the batch was dropped; {limits.max_dropped_share:.1%} is allowed.",
    )


def _absolute(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    limit = policy.gates.max_primary
    if limit is None:
        return
    for name in sets_of(evidence, "golden"):
        comparison = primary(evidence, policy, name)
        if comparison is not None:
            text = f"{comparison.metric} on {name} is {comparison.candidate:.4f}; the bound is {limit:.4f}."
            bound = _at_least if comparison.higher_is_better else _at_most
            yield bound(f"{name}: bound on {comparison.metric}", comparison.candidate, limit, text)


def _degraded(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    most = policy.gates.max_degraded_share
    for each in evidence.sets:
        if each.kind == "golden" and "production" in evidence.systems:
            yield _at_most(
                f"{each.name}: items degraded",
                each.degraded_share,
                most,
                f"{each.degraded_share:.1%} of the {each.n} items of {each.name} are clearly worse than in production; "
                f"{most:.1%} is allowed.",
            )


def _cost(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    candidate, production = evidence.systems.get("candidate"), evidence.systems.get("production")
    if candidate is None or production is None:
        return
    if production.seconds_per_unit > 0:
        ratio, most = candidate.seconds_per_unit / production.seconds_per_unit, policy.gates.max_latency_ratio
        yield _at_most(
            "latency",
            ratio,
            most,
            f"The candidate takes {candidate.seconds_per_unit:.3g} s per {candidate.unit}, {ratio:.2f} times what "
            f"production takes; {most:.2f} times is allowed.",
        )
    if production.size_bytes > 0:
        ratio, most = candidate.size_bytes / production.size_bytes, policy.gates.max_size_ratio
        yield _at_most(
            "size",
            ratio,
            most,
            f"The candidate has {candidate.size_bytes:,} bytes, {ratio:.2f} times production's; {most:.2f} times is "
            "allowed.",
        )


def _compressed(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    """Hold what is served against its full-precision twin on the golden sets, where the export compressed it."""
    golden, limits = sets_of(evidence, "golden"), policy.gates
    for each in evidence.compression:
        if each.set_name not in golden:
            continue
        yield _at_least(
            f"{each.set_name}: agreement of the export",
            each.agreement,
            limits.min_reference_agreement,
            f"The export answers {each.agreement:.1%} of the {each.n} items of {each.set_name} as its full-precision "
            f"twin does; {limits.min_reference_agreement:.1%} is needed.",
        )
        if each.lower is not None:
            yield _at_most(
                f"{each.set_name}: loss of the export",
                -each.lower,
                limits.reference_margin,
                f"By its export the candidate may lose up to {-each.lower:.4f} of {each.metric} on {each.set_name}; "
                f"{limits.reference_margin:.4f} is allowed.",
            )


def _at_least(name: str, observed: float, limit: float, text: str) -> Check:
    return _bound(name, observed >= limit, observed, limit, text)


def _at_most(name: str, observed: float, limit: float, text: str) -> Check:
    return _bound(name, observed <= limit, observed, limit, text)


def _bound(name: str, passed: bool, observed: float, limit: float, text: str) -> Check:
    return Check(name=name, passed=passed, observed=observed, limit=limit, explanation=text)
