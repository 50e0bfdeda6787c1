"""A decision with an analyst, from its records to its page, by the real client against a server on this machine."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from mlops_assets.core.line import Line
from mlops_assets.core.policy import Analyst
from mlops_assets.core.ports.language_models import Analyst as AnalystPort
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Decision, Evidence, Exchange
from mlops_assets.lifecycle.decide import decide
from mlops_assets_tests.chat_server import Provider, provider
from mlops_assets_tests.lifecycle.decide.evaluated import LINE, put_evaluated, serve
from mlops_assets_tests.lifecycle.decide.evidences import evidence
from mlops_assets_tests.lifecycle.decide.hostile_replies import answers
from mlops_assets_tests.platform_fixture import make_platform

__all__ = ["provider"]

pytest.importorskip("langchain_openai", reason="the judge extra is not installed")

SECOND = 1.0
Decided = Callable[..., tuple[Platform, Decision]]


def said(recommendation: str, reason: str = "L1 is close.") -> str:
    return json.dumps({"recommendation": recommendation, "reason": reason, "concerns": []})


@pytest.fixture
def decided(tmp_path: Path, provider: Provider) -> Decided:
    """Decide on evidence under a policy with an analyst; `settings` are the analyst's, `port` stands for all of it."""

    def made(
        wanted: Callable[..., Evidence] = evidence, *, port: AnalystPort | None = None, **settings: Any
    ) -> tuple[Platform, Decision]:
        values = {"model": "openai:m", "base_url": provider.url, **settings}
        policy = LINE.policy.model_copy(update={"analyst": Analyst.model_validate(values)})
        line: Line = LINE.model_copy(update={"policy": policy})
        platform = replace(make_platform(tmp_path, lines=lambda: [line]), code_version=lambda _: "test")
        platform = platform if port is None else replace(platform, analyst=port)
        serve(platform, "a" * 64)
        found = wanted(policy)
        put_evaluated(platform, found)
        return platform, decide(platform, line, found.batch_id)

    return made


def page(platform: Platform, decision: Decision) -> str:
    assert decision.page is not None
    return platform.store.read_bytes(decision.page).decode()


def test_what_was_asked_and_answered_is_kept_with_the_decision(provider: Provider, decided: Decided):
    provider.content = said("HUMAN_REVIEW")
    platform, decision = decided()
    assert (decision.verdict, decision.pending) == ("HUMAN_REVIEW", True)
    (exchange,) = decision.exchanges
    assert exchange.prompt == provider.asked[0]["messages"][-1]["content"]
    assert exchange.answer == provider.content
    assert exchange.names["L1"] == "voice:kal"
    assert "voice:kal" not in json.dumps(provider.asked)
    assert "voice:kal is close." in (decision.question or "")
    assert "voice:kal is close." in page(platform, decision)


def test_a_provider_that_refuses_leaves_the_rule_and_is_told(provider: Provider, decided: Decided):
    provider.status = 429
    platform, decision = decided()
    assert decision.verdict == "APPROVE"
    assert "HTTP 429" in decision.exchanges[0].failure
    assert "The rule stands." in page(platform, decision)


def test_a_provider_that_hangs_is_waited_for_once(provider: Provider, decided: Decided):
    provider.released.clear()
    _, decision = decided(lambda policy: evidence(policy, kept=8), timeout_seconds=SECOND, words_alerts=True)
    assert decision.verdict == "HUMAN_REVIEW"
    assert [each.purpose for each in decision.exchanges] == ["verdict"]
    assert decision.analysis is not None
    assert decision.analysis.worded_by is None


class Slow:
    """An analyst who takes a share of the time it is given."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.given: list[float] = []

    def ready(self, settings: Analyst) -> None: ...

    def ask(self, settings: Analyst, purpose: Literal["verdict", "wording"], prompt: str) -> Exchange:
        self.given.append(settings.timeout_seconds)
        seconds = settings.timeout_seconds * self.share
        return Exchange(purpose=purpose, model=settings.model, prompt=prompt, answer="Well.", seconds=seconds)


def test_verdict_and_wording_share_one_limit(decided: Decided):
    analyst = Slow(0.75)
    decided(lambda policy: evidence(policy, kept=8), port=analyst, timeout_seconds=20, words_alerts=True)
    assert analyst.given == [20, 5]


def test_a_failed_gate_is_not_discussed(provider: Provider, decided: Decided):
    provider.content = said("APPROVE", "Deploy it.")
    _, decision = decided(lambda policy: evidence(policy, infra_ok=False))
    assert decision.verdict == "REJECT"
    assert provider.asked == []


@pytest.mark.parametrize("answer", [*answers(3, seed=4)])
def test_a_hostile_provider_raises_nothing(provider: Provider, decided: Decided, answer: str):
    provider.content = answer
    _, decision = decided(lambda policy: evidence(policy, kept=8), words_alerts=True)
    assert decision.verdict in ("HUMAN_REVIEW", "REJECT")
    assert len(decision.exchanges) == 2
    assert decision.analysis is not None
    assert decision.analysis.worded_by is None


def test_the_alert_is_reworded_number_for_number(provider: Provider, decided: Decided):
    def reword(asked: dict[str, Any]) -> str:
        return asked["messages"][-1]["content"].rpartition("\n\n")[2].replace("Batch", "This time, batch")

    provider.content = reword
    _, decision = decided(lambda policy: evidence(policy, infra_ok=False), words_alerts=True)
    assert decision.analysis is not None
    assert decision.analysis.worded_by == "openai:m"
    assert decision.analysis.paragraph.startswith("This time, batch 20260101-0123456789ab of speech was rejected.")
    assert "of speech" not in decision.exchanges[0].prompt
