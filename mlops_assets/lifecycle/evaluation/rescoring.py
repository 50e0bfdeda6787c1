"""The numbers of an evidence, made again from the stored scores of every item: by its own policy, or by another one.

What was measured with a clock (latency), trained for (seeds) or bought (reports on pairs of slices) stays as it was.
"""

from mlops_assets.core.family import ItemScore
from mlops_assets.core.line import Line
from mlops_assets.core.policy import Policy
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import Item
from mlops_assets.core.records.decision import Evidence
from mlops_assets.core.records.evaluation import SetResult
from mlops_assets.lifecycle.evaluation import comparing, confusing
from mlops_assets.lifecycle.evaluation.comparing import ScoredSet
from mlops_assets.lifecycle.history import scored_items


def rescored(platform: Platform, line: Line, evidence: Evidence, policy: Policy) -> Evidence:
    """Return the evidence with every number that scores and policy give, made again.

    `line` says what kind of model it is (family and configuration); its own policy and sets play no part. NotFound and
    Corrupt for scores that are not stored as they were; ConfigError for a metric that the family does not have.
    """
    family = platform.family(line.family)
    config = family.Config.model_validate(line.config)
    metrics, labels = family.metrics(config), family.labels(config)
    judged = line.model_copy(update={"policy": policy})
    primary = comparing.primary_metric(metrics, judged)
    single = comparing.item_metric(metrics, primary)
    scored = [scored_set(platform, each) for each in evidence.sets]
    alphas = {each.name: policy.gain_alpha(each.kind, sealed=evidence.sealed is not None) for each in evidence.sets}
    compared = [found for each in scored for found in comparing.comparisons(each, metrics, policy, alphas[each.name])]
    golden = [each for each in scored if each.kind == "golden"]
    reported = [each for each in scored if each.kind != "sealed"]
    shown = (confusing.confusion(each, family, labels, policy) for each in reported)
    compressed = (confusing.compression(each, family, primary, policy, evidence.systems) for each in reported)
    names = {each.name for each in golden}
    return evidence.model_copy(
        update={
            "policy": policy.digest,
            "sets": tuple(
                comparing.set_result(each, single, judged, result.scores).model_copy(
                    update={"gain_alpha": alphas[each.name]}
                )
                for each, result in zip(scored, evidence.sets, strict=True)
            ),
            "comparisons": tuple(compared),
            "confusions": tuple(each for each in shown if each is not None),
            "calibrations": tuple(found for each in reported for found in confusing.calibrations(each, family, labels)),
            "compression": tuple(each for each in compressed if each is not None),
            "cross_checks": tuple(check for each in golden for check in comparing.cross_checks(each, single, policy)),
            "scan": tuple(comparing.scan([each for each in compared if each.set_name in names], policy)),
        }
    )


def scored_set(platform: Platform, result: SetResult) -> ScoredSet:
    """Return a set as it was scored; its items have no inputs."""
    rows = scored_items(platform, result)
    systems = list(rows[0].systems) if rows else []
    return ScoredSet(
        name=result.name,
        kind=result.kind,
        dataset=result.dataset,
        origin=result.origin,
        items=[Item(id=row.item, cluster=row.cluster, slices=row.slices, target=row.reference) for row in rows],
        predictions={system: [row.systems[system].prediction for row in rows] for system in systems},
        scores={
            system: [
                {
                    name: ItemScore(numerator=numerator, weight=weight)
                    for name, (numerator, weight) in row.systems[system].scores.items()
                }
                for row in rows
            ]
            for system in systems
        },
    )
