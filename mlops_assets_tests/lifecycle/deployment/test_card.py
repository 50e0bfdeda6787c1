from pathlib import Path
from typing import Any

import pytest

from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.evaluation import SetResult
from mlops_assets.lifecycle.deployment.card import model_card
from mlops_assets_tests.lifecycle.decide.decisions import decision, exchange, full_evidence, line_of, policy_for
from mlops_assets_tests.lifecycle.decide.evaluated import open_platform, put_evaluated
from mlops_assets_tests.lifecycle.decide.evidences import comparison, evidence, set_result

POLICY = policy_for(0)
HOSTILE = "a | b <script>alert(1)</script> [x](y)\n# heading"


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return open_platform(tmp_path)


def card(platform: Platform, made: Decision) -> str:
    put_evaluated(platform, made.evidence)
    version = Version(
        line=made.line, version=2, servable=made.evidence.candidate, model="0" * 64, batch_id=made.batch_id,
        decision_id=made.decision_id, parent_version=1, deployed_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    return model_card(platform, line_of(POLICY), version, made)


def approved(**changes: Any) -> Decision:
    values: dict[str, Any] = {"verdict": "APPROVE", "pending": False, "analysis": None, "question": None}
    return decision(full_evidence(POLICY), POLICY, **(values | changes))


def test_a_card_says_looks_seeds_and_what_the_analyst_said(platform: Platform) -> None:
    text = card(platform, approved(exchanges=(exchange(),)))
    assert "This was look 1 of 20 at the golden set. The line's sealed set was not opened for it." in text
    assert "one of 2 seeds: gain in wer +0.0300 with a deviation of 0.0100, lower bound +0.0010" in text
    assert "openai:gpt-x, recommended HUMAN_REVIEW" in text
    assert "green mango lost kal" in text
    assert "a single seed" not in text


def test_a_card_says_what_the_sealed_set_confirmed(platform: Platform) -> None:
    base = full_evidence(POLICY)
    opened = SetResult.model_validate(set_result("kept back", "sealed", dataset="9" * 64).model_dump())
    rows = (*base.comparisons, comparison("kept back", delta=0.05, lower=0.02, upper=0.08, gain_lower=0.01))
    found = base.model_copy(update={"sets": (*base.sets, opened), "comparisons": rows})
    text = card(platform, decision(found, POLICY, verdict="APPROVE", pending=False, analysis=None))
    assert "was opened for it (opening 1 of 5): wer 0.1800 against 0.2200" in text
    assert "+0.0100 at the error that one opening may spend, 120 items, synthetic data" in text
    assert "| kept back | all | wer" in text


def test_a_card_without_these_says_so(platform: Platform) -> None:
    plain = decision(evidence(POLICY), POLICY, exchanges=(exchange(reply=None, answer=None, failure="No key."),))
    text = card(platform, plain)
    assert "(a single seed)" in text
    assert "The line has no sealed set that could have confirmed it." in text
    assert "gave no usable answer (No key.); the rule stood." in text


def test_what_others_wrote_is_no_markup_of_the_card(platform: Platform) -> None:
    hostile = decision(
        full_evidence(POLICY, HOSTILE), POLICY, reasons=(HOSTILE,), exchanges=(exchange(HOSTILE, names={}),)
    )
    text = card(platform, hostile)
    assert "\n# heading" not in text
    assert "a \\| b \\<script>" in text
    assert " <script>" not in text
