"""What the agent can buy: each tool takes evidence and returns more of it, and may be killed and called again.

The order is always the same: what is costly is made first and kept (trainings by their recipe, predictions by their
bytes), then the purchase is entered in the ledger, once, then it becomes evidence. The sealed set is the exception: it
is entered as paid and as opened before anything of it is seen. So no crash buys a thing twice, or hides a look.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.digests import sha256_json
from mlops_assets.core.errors import NotFound, Stale, TaskFailed
from mlops_assets.core.family import MetricSpec
from mlops_assets.core.line import Line
from mlops_assets.core.measures import Measure
from mlops_assets.core.noise import training_noise
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Evidence
from mlops_assets.core.records.evaluation import System
from mlops_assets.core.records.purchases import ClusterEffect, Purchase, SeedGain, SliceReport, Tool, TrainingNoise
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.core.statistics import Scores, values
from mlops_assets.lifecycle.decide.evidence import gather, purchases
from mlops_assets.lifecycle.decide.planning import WHY
from mlops_assets.lifecycle.evaluation import comparing
from mlops_assets.lifecycle.evaluation.comparing import ScoredSet
from mlops_assets.lifecycle.evaluation.evaluate import contest, evaluate
from mlops_assets.lifecycle.evaluation.evaluation_sets import EvaluationDataset
from mlops_assets.lifecycle.evaluation.evaluation_sets import sealed_set as the_sealed_set
from mlops_assets.lifecycle.evaluation.looks import opening_number, record_opening
from mlops_assets.lifecycle.evaluation.rescoring import scored_set
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.training.train import adopt, another_seed, retrained, training

SHOWN_CLUSTERS = 20


@dataclass(frozen=True)
class Shop:
    """The four tools for one line."""

    platform: Platform
    line: Line

    def buy(self, tool: Tool, evidence: Evidence) -> Evidence:
        """Return the evidence with what a tool adds to it; TaskFailed if a training or scoring process fails."""
        tools: dict[Tool, Callable[[Evidence], Evidence]] = {
            "sealed_set": self.sealed_set,
            "seeds": self.seeds,
            "slice_report": self.slice_report,
            "retrain": self.retrain,
        }
        return tools[tool](evidence)

    def sealed_set(self, evidence: Evidence) -> Evidence:
        """Open the sealed set for this candidate: its result and comparisons, and the number of the opening."""
        sealed = the_sealed_set(self.platform, self.line)
        if sealed is None or sealed.dataset != evidence.sealed:
            raise NotFound(
                f"The sealed set of {evidence.line} is no longer the one that the evidence names.",
                f"Run `mlops run {evidence.line} {evidence.batch_id}` to judge the batch by what there is now.",
            )
        bought = self._pay("sealed_set", evidence, order=sealed.dataset, gave=sealed.dataset)
        record_opening(self.platform, evidence.line, evidence.batch_id, evidence.candidate, sealed.dataset)
        failpoint("tools: after opening")
        seen = contest(self.platform, self.line, evidence.batch_id, _both(evidence), [sealed])
        return bought.model_copy(
            update={
                "sets": (*evidence.sets, *seen.sets),
                "comparisons": (*evidence.comparisons, *seen.comparisons),
                "openings": opening_number(self.platform, evidence.line, evidence.candidate, sealed.dataset),
            }
        )

    def seeds(self, evidence: Evidence) -> Evidence:
        """Train the candidate's recipe with one more seed, and say how much of the gain is the seed's luck."""
        candidate = _candidate(self.platform, evidence)
        known = evidence.noise.seeds if evidence.noise else ()
        number = max(len(known), 1)
        recipe = another_seed(self.platform, candidate, number)
        made = training(self.platform, self.line, evidence.batch_id, recipe)
        failpoint("tools: after training")
        bought = self._pay("seeds", evidence, order=recipe.digest, gave=made.servable)
        failpoint("tools: after purchase")
        trained = [(each.seed, each.servable) for each in known] or [(candidate.seed, candidate.servable)]
        noise = self._noise(evidence, [*trained, (recipe.seed, made.servable)])
        return bought.model_copy(update={"noise": noise})

    def slice_report(self, evidence: Evidence) -> Evidence:
        """Look at slices two at a time, and at the difference without each cluster, from the stored scores."""
        scored = [scored_set(self.platform, each) for each in evidence.sets if each.kind == "golden"]
        found = _slices(self.platform, self.line, scored)
        bought = self._pay("slice_report", evidence, order="", gave=found.digest)
        failpoint("tools: after purchase")
        return bought.model_copy(update={"slices": found})

    def retrain(self, evidence: Evidence) -> Evidence:
        """Put a candidate of the policy's next other setting in the place of this one; the evidence is then its own."""
        attempt = evidence.attempt + 1
        made = retrained(self.platform, self.line, evidence.batch_id, self.line.policy.retrain_with[attempt - 1])
        failpoint("tools: after training")
        self._pay("retrain", evidence, order=str(attempt), gave=made.servable)
        failpoint("tools: after purchase")
        adopt(self.platform, self.line, evidence.batch_id, attempt)
        report = evaluate(self.platform, self.line, evidence.batch_id)
        failpoint("tools: after evaluation")
        return gather(self.platform, self.line, evidence.batch_id, report)

    def _pay(self, tool: Tool, evidence: Evidence, *, order: str, gave: str) -> Evidence:
        """Enter a purchase in the ledger, once for what was ordered, and return the evidence with all of them."""
        bought = Purchase(
            tool=tool,
            cost=getattr(self.line.policy.inquiry, tool),
            why=WHY[tool],
            gave=gave,
            candidate=evidence.candidate,
        )
        self.platform.ledger.append(
            "bought",
            evidence.line,
            actor="agent",
            batch_id=evidence.batch_id,
            body={**bought.model_dump(mode="json"), "batch": evidence.batch_id},
            key=f"bought:{evidence.line}:{evidence.batch_id}:{tool}:{sha256_json([evidence.candidate, order])}",
        )
        return evidence.model_copy(update={"purchases": purchases(self.platform, evidence.line, evidence.batch_id)})

    def _noise(self, evidence: Evidence, trained: Sequence[tuple[int, str]]) -> TrainingNoise:
        """Judge every seed's servable on the golden set; the scores of the first, the candidate's own, are stored."""
        golden = next(each for each in evidence.sets if each.kind == "golden")
        dataset = EvaluationDataset(name=golden.name, kind="golden", origin=golden.origin, dataset=golden.dataset)
        own = scored_set(self.platform, golden)
        others = [
            contest(self.platform, self.line, evidence.batch_id, {"candidate": servable}, [dataset]).scored[0]
            for _, servable in trained[1:]
        ]
        metric, policy = _primary(self.platform, self.line), self.line.policy
        measure = comparing.measure(metric)
        noise = training_noise(
            measure,
            [_columns(each, "candidate", measure) for each in (own, *others)],
            _columns(own, "production", measure),
            [item.cluster for item in own.items],
            alpha=policy.alpha,
            resamples=policy.resamples,
            seed=policy.seed,
        )
        return TrainingNoise(
            set_name=golden.name,
            metric=metric.name,
            seeds=tuple(
                SeedGain(seed=seed, servable=servable, delta=delta)
                for (seed, servable), delta in zip(trained, noise.deltas, strict=True)
            ),
            mean=noise.mean,
            deviation=noise.deviation,
            lower=noise.lower,
        )


def _slices(platform: Platform, line: Line, scored: Sequence[ScoredSet]) -> SliceReport:
    metric = _primary(platform, line).model_copy(update={"sliced": True})
    pairs = [found for each in scored for found in comparing.comparisons(_by_pairs(each), [metric], line.policy)]
    return SliceReport(
        scan=tuple(comparing.scan(pairs, line.policy)),
        clusters=tuple(found for each in scored for found in _without_each(each, metric)),
    )


def _by_pairs(scored: ScoredSet) -> ScoredSet:
    """Return the set with its items' slices taken two at a time, such as 'accent:us & voice:kal'."""
    pairs = [tuple(" & ".join(pair) for pair in combinations(sorted(item.slices), 2)) for item in scored.items]
    items = [item.model_copy(update={"slices": each}) for item, each in zip(scored.items, pairs, strict=True)]
    return replace(scored, items=items)


def _without_each(scored: ScoredSet, metric: MetricSpec) -> list[ClusterEffect]:
    """Return the clusters that carry most of the difference, at most 20, with the difference of the rest."""
    measure = comparing.measure(metric)
    names, groups = np.unique([item.cluster for item in scored.items], return_inverse=True)
    new, old = (
        {
            name: tuple(np.bincount(groups, weights=part, minlength=len(names)) for part in parts)
            for name, parts in _columns(scored, system, measure).items()
        }
        for system in ("candidate", "production")
    )

    def difference(chosen: NDArray[np.bool_]) -> float | None:
        found = [
            values({"": measure}, {name: (top[chosen], below[chosen]) for name, (top, below) in each.items()})
            for each in (new, old)
        ]
        sign = 1.0 if metric.higher_is_better else -1.0
        return sign * (found[0][""] - found[1][""]) if all(found) else None

    at = np.arange(len(names))
    whole = difference(at >= 0)
    effects = [
        ClusterEffect(
            set_name=scored.name,
            cluster=str(name),
            metric=metric.name,
            n=int((groups == index).sum()),
            delta=difference(at == index),
            without=difference(at != index) if len(names) > 1 else None,
        )
        for index, name in enumerate(names)
    ]
    moves = [0.0 if whole is None or each.without is None else abs(whole - each.without) for each in effects]
    order = sorted(range(len(effects)), key=lambda index: -moves[index])
    return [effects[index] for index in order[:SHOWN_CLUSTERS]]


def _columns(scored: ScoredSet, system: System, measure: Measure) -> dict[str, Scores]:
    found = scored.columns(system, [measure], scored.everything())
    if found is None:
        raise TaskFailed(f"The set {scored.name} holds no scores of the {system} model.", "Evaluate the batch again.")
    return found


def _primary(platform: Platform, line: Line) -> MetricSpec:
    family = platform.family(line.family)
    return comparing.primary_metric(family.metrics(family.Config.model_validate(line.config)), line)


def _candidate(platform: Platform, evidence: Evidence) -> CandidateModel:
    record = platform.records.get(evidence.line, evidence.batch_id, "candidate_model")
    if not isinstance(record, CandidateModel) or record.servable != evidence.candidate:
        raise Stale(
            f"The candidate of batch {evidence.batch_id} is not the one that is being judged.",
            f"Run `mlops run {evidence.line} {evidence.batch_id}` to judge it.",
        )
    return record


def _both(evidence: Evidence) -> dict[System, str]:
    """Return what is compared: the candidate, and what serves."""
    served: dict[System, str] = {} if evidence.production is None else {"production": evidence.production}
    return {"candidate": evidence.candidate, **served}
