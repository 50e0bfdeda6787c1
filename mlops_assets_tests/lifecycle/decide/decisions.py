"""Decisions for tests of what people see: evidence with something in every place, and the ruling on it."""

from typing import Any

from mlops_assets.core.line import EvaluationSet, Line
from mlops_assets.core.policy import Analyst, Policy, SliceMargin
from mlops_assets.core.records.decision import AnalystReply, Decision, Evidence, Exchange, ItemEffect
from mlops_assets.core.records.evaluation import (
    Comparison,
    Confusion,
    ConfusionPair,
    ContributorReport,
    CrossCheck,
    Scanned,
)
from mlops_assets.core.records.purchases import ClusterEffect, Purchase, SeedGain, SliceReport, TrainingNoise
from mlops_assets.lifecycle.decide.failing import analyse
from mlops_assets.lifecycle.decide.rules import verdict
from mlops_assets_tests.lifecycle.decide.evidences import POLICY, comparison, evidence, set_result


def policy_for(slices: int = 3, name: str = "voice:kal") -> Policy:
    """Return a policy with an analyst and protected slices."""
    protected = tuple(SliceMargin(metric="wer", slice=f"{name}{at}", margin=0.02) for at in range(slices))
    return POLICY.model_copy(update={"protected": protected, "analyst": Analyst(model="openai:gpt-x")})


def line_of(policy: Policy = POLICY) -> Line:
    """Return the line the decisions are about."""
    golden = EvaluationSet(path="golden", origin="synthetic")
    return Line(line="speech", family="speech", golden=golden, policy=policy)


def scanned(slice_id: str, **changes: Any) -> Scanned:
    """Return a slice that is harmed, to be changed."""
    values: dict[str, Any] = {"set_name": "golden", "slice": slice_id, "metric": "wer", "n": 14, "clusters": 9}
    found: dict[str, Any] = {"delta": -0.08, "p": 0.0001, "adjusted": 0.002, "harmed": True}
    return Scanned(**(values | found | changes))


def of_class(label: str, **changes: Any) -> Comparison:
    """Return the F1 of one class."""
    values = {"metric": f"f1_class_{label}", "candidate": 0.6, "production": 0.8, "higher_is_better": True, "n": 40}
    return comparison(**(values | changes))


def full_evidence(policy: Policy, name: str = "kal", slices: int = 3, **changes: Any) -> Evidence:
    """Return evidence with something in every place; whatever data may name is named `name`."""
    pair = ConfusionPair(
        label=name, predicted=f"{name} 2", n=40, candidate=0.3, production=0.15, delta=0.15, lower=0.03, upper=0.27
    )
    values: dict[str, Any] = {
        "contributor": name,
        "comparisons": (
            comparison(gain_lower=0.015, error=0.01),
            *(comparison(slice=each.slice, lower=-0.01 * at) for at, each in enumerate(policy.protected)),
            comparison("human", delta=0.0, lower=-0.01, upper=0.01, candidate=0.22),
            comparison(metric="cer"),
            of_class(name, delta=-0.2, lower=-0.3, upper=-0.1),
            of_class("other", delta=0.1, lower=-0.1, upper=0.3),
        ),
        "sets": (
            set_result(gain_alpha=policy.gain_alpha("golden", sealed=False)),
            set_result("human", "critical", origin="real"),
            set_result("kept", "holdout"),
        ),
        "confusions": (
            Confusion(
                set_name="golden",
                origin="synthetic",
                labels=(name, f"{name} 2"),
                candidate=((1, 2), (1, 1)),
                pairs=(pair,),
            ),
        ),
        "cross_checks": (
            CrossCheck(set_name="golden", metric="wer", test="paired_t", quantity=name, n=120, statistic=2.1, p=0.02),
        ),
        "scan": tuple(scanned(f"{name}{at}", adjusted=0.001 * (at + 1)) for at in range(slices)),
        "slices": SliceReport(
            scan=(scanned(f"{name} & {name}"),),
            clusters=(ClusterEffect(set_name="golden", cluster=name, metric="wer", n=14, delta=0.5, without=-0.01),),
        ),
        "items": (ItemEffect(set_name="golden", item=name, change=-2.0),),
        "dropped": {"SPC003": 3, name: 1},
        "flagged": {name: 2},
        "labels": {name: 12, "other": 52},
        "contributors": (
            ContributorReport(contributor=name, items=30, share=0.3, disagreement=0.4, adjusted=0.001, outlier=True),
        ),
        "noise": TrainingNoise(
            set_name="golden",
            metric="wer",
            seeds=(SeedGain(seed=1, servable="c" * 64, delta=0.04), SeedGain(seed=2, servable="b" * 64, delta=0.02)),
            mean=0.03,
            deviation=0.01,
            lower=0.001,
        ),
        "purchases": (Purchase(tool="seeds", cost=2, why=name, gave="b" * 64),),
        "sealed": "9" * 64,
        "openings": 1,
        "parents": {"candidate_model": "7" * 64},
    }
    return evidence(policy, **(values | changes))


def exchange(name: str = "kal", **changes: Any) -> Exchange:
    """Return an exchange with an analyst that was answered."""
    values: dict[str, Any] = {
        "purpose": "verdict",
        "model": "openai:gpt-x",
        "prompt": f"wer on S1 of {name}",
        "answer": f'{{"reason": "C1 lost. {name}"}}',
        "reply": AnalystReply(recommendation="HUMAN_REVIEW", reason=f"C1 lost {name}"),
        "seconds": 1.5,
        "names": {"C1": "green mango"},
    }
    return Exchange(**(values | changes))


def decision(found: Evidence, policy: Policy, **changes: Any) -> Decision:
    """Return the decision of the rule on evidence."""
    ruling = verdict(found, policy)
    values: dict[str, Any] = {
        "line": found.line,
        "batch_id": found.batch_id,
        "decision_id": "0123456789abcdef01234567",
        "verdict": ruling.verdict,
        "pending": ruling.verdict == "HUMAN_REVIEW",
        "reasons": ruling.reasons,
        "gates": ruling.gates,
        "statistics": ruling.statistics,
        "evidence": found,
        "evidence_digest": found.digest,
        "policy_digest": found.policy,
        "path": ("gather", "gates", "statistics"),
        "analysis": None if ruling.verdict == "APPROVE" else analyse(found, policy, ruling),
        "question": ruling.question,
        "decided_at": "2026-01-01T00:00:00+00:00",
    }
    return Decision(**(values | changes))
