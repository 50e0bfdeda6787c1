"""A line beside a language model (a real client, a local server) and beside another of its versions."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.core.errors import NotFound, Unavailable
from mlops_assets.core.events import Correction, Prediction
from mlops_assets.core.line import Challenger, Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.challenge.contrasting import contrast, contrast_page
from mlops_assets_tests.chat_server import Provider, provider
from mlops_assets_tests.lifecycle.chain import open_light_line, run, submit
from mlops_assets_tests.lines import TOPICS, texts

__all__ = ["provider"]

pytest.importorskip("langchain_openai", reason="the judge extra is not installed")

RIGHT = {row["text"]: row["label"] for row in texts(101, 60, users=20)}
WINDOW = {"since": datetime.now(UTC) - timedelta(hours=1), "until": datetime.now(UTC) + timedelta(hours=1)}


@pytest.fixture
def served(tmp_path: Path) -> tuple[Platform, Line]:
    platform, line = open_light_line(tmp_path)
    assert run(platform, line, submit(platform, line, "good")).verdict == "APPROVE"
    return platform, line


def against(line: Line, **challenger: Any) -> Line:
    return line.model_copy(update={"challenger": Challenger.model_validate(challenger)})


def knows_all(asked: dict[str, Any]) -> str:
    return json.dumps({"label": RIGHT[asked["messages"][1]["content"]]})


def predicted(name: str, label: str, **more: Any) -> Prediction:
    document = {"event_id": name, "version": 2, "arm": "production", "latency_ms": 2.0, "success": True, "label": label}
    return Prediction.model_validate(document | more)


def copy(of: str, label: str | None, agrees: bool | None, **more: Any) -> Prediction:
    document = {"model": "openai:m", "arm": "challenger", "latency_ms": 400.0, "success": label is not None, "of": of}
    return Prediction.model_validate(document | {"event_id": f"c-{of}", "label": label, "agrees": agrees} | more)


def test_both_answer_the_golden_items_and_each_is_paid_for_once(served: tuple[Platform, Line], provider: Provider):
    platform, line = served
    provider.content = knows_all
    line = against(line, model="openai:m", base_url=provider.url, instruction="Name the topic.", input_price=1e6)
    told: list[tuple[int, int]] = []
    found = contrast(platform, line, **WINDOW, golden_items=30, told=lambda *done: told.append(done))
    assert found.golden is not None
    (accuracy,) = (each for each in found.golden.metrics if each.metric == "accuracy")
    assert accuracy.challenger == 1.0
    assert accuracy.gain == pytest.approx(accuracy.line - 1.0)
    assert (accuracy.n, found.golden.answered, found.golden.origin) == (30, 30, "synthetic")
    assert told[-1] == (30, 30)
    assert len(provider.asked) == 30
    assert found.break_even is not None
    assert found.break_even.request_cost == pytest.approx(found.golden.cost / 30)
    again = contrast(platform, line, **WINDOW, golden_items=30)
    assert len(provider.asked) == 30
    assert again.golden == found.golden


def test_a_challenger_that_answers_some_is_compared_on_those(served: tuple[Platform, Line], provider: Provider):
    platform, line = served
    hard = [row["text"] for row in texts(101, 60, users=20)][:20]
    provider.content = lambda asked: "no idea" if asked["messages"][1]["content"] in hard else knows_all(asked)
    found = contrast(platform, against(line, model="openai:m", base_url=provider.url), **WINDOW, golden_items=60)
    assert found.golden is not None
    assert (found.golden.items, found.golden.answered, found.golden.metrics[0].n) == (60, 40, 40)


def test_a_challenger_that_answers_nothing_is_said_to(served: tuple[Platform, Line], provider: Provider):
    platform, line = served
    provider.status = 500
    with pytest.raises(Unavailable, match="answered none of 3 items"):
        contrast(platform, against(line, model="openai:m", base_url=provider.url), **WINDOW, golden_items=3)


def test_live_pairs_tell_disagreement_latency_cost_and_break_even(served: tuple[Platform, Line]):
    platform, line = served
    line = against(line, model="openai:m", own_price=10, development_price=290, daily_requests=1000)
    events: list[Prediction | Correction] = []
    for at in range(40):
        events.append(predicted(f"p{at}", TOPICS[0]))
        label = TOPICS[1] if at < 10 else TOPICS[0]
        events.append(copy(f"p{at}", label, at >= 10, cost=0.01))
    events.append(predicted("p-unanswered", TOPICS[0]))
    events.append(copy("p-unanswered", None, None, error="timeout"))
    events.append(copy("forgotten", TOPICS[0], True, cost=0.01))
    events += [Correction(prediction_id=f"p{at}", target=TOPICS[1]) for at in range(4)]
    platform.events.append(line.line, events)
    found = contrast(platform, line, **WINDOW)
    live = found.live
    assert (live.pairs, live.failures, live.disagreement) == (40, 1, 0.25)
    assert live.disagreement_lower is not None
    assert live.disagreement_upper is not None
    assert live.disagreement_lower < 0.25 < live.disagreement_upper
    assert (live.corrected, live.line_right, live.challenger_right) == (4, 0, 4)
    assert live.latency_line is not None
    assert live.latency_challenger is not None
    assert (live.latency_line.avg, live.latency_challenger.p95) == (2.0, 400.0)
    assert [each.right for each in live.lately if each.prediction_id == "p0"] == [TOPICS[1]]
    assert len(live.lately) == 10
    assert found.break_even is not None
    assert found.break_even.monthly_challenger == pytest.approx(0.41 / 40 * 1000 * 30)
    assert found.break_even.months == pytest.approx(290 / (0.41 / 40 * 30_000 - 10))
    page = contrast_page(found)
    assert "They disagree on 25 %" in page
    assert "<script" not in page


def test_only_pairs_of_this_version_and_this_challenger_are_compared(served: tuple[Platform, Line]):
    platform, line = served
    events = [
        predicted("now", TOPICS[0]),
        copy("now", TOPICS[0], True),
        predicted("earlier", TOPICS[1], version=1),
        copy("earlier", TOPICS[0], False),
        predicted("other-model", TOPICS[1]),
        copy("other-model", TOPICS[0], False, model="openai:old", cost=0.5),
        predicted("other-version", TOPICS[1]),
        copy("other-version", TOPICS[0], False, model=None, version=1),
    ]
    platform.events.append(line.line, events)
    live = contrast(platform, against(line, model="openai:m"), **WINDOW).live
    assert (live.pairs, live.disagreement, live.elsewhere, live.cost) == (1, 0.0, 3, 0.0)
    live = contrast(platform, against(line, version=1), **WINDOW).live
    assert (live.pairs, live.disagreement, live.elsewhere) == (1, 1.0, 3)


def test_some_of_the_golden_items_are_a_sample_of_all_of_them(served: tuple[Platform, Line], provider: Provider):
    platform, line = served
    provider.content = knows_all
    contrast(platform, against(line, model="openai:m", base_url=provider.url), **WINDOW, golden_items=20)
    asked = [each["messages"][1]["content"] for each in provider.asked]
    assert set(asked) != {row["text"] for row in texts(101, 60, users=20)[:20]}
    contrast(platform, against(line, model="openai:m", base_url=provider.url), **WINDOW, golden_items=25)
    assert len(provider.asked) == 25  # those asked before are among them


def test_answers_that_were_kept_cost_what_the_yaml_says_now(served: tuple[Platform, Line], provider: Provider):
    platform, line = served
    provider.content = knows_all
    costs = []
    for price in (1.0, 2.0):
        line = against(line, model="openai:m", base_url=provider.url, input_price=price, output_price=price)
        golden = contrast(platform, line, **WINDOW, golden_items=5).golden
        assert golden is not None
        costs.append(golden.cost)
    assert costs[1] == pytest.approx(2 * costs[0]) != 0


def test_another_version_is_a_challenger_without_a_price(served: tuple[Platform, Line]):
    platform, line = served
    found = contrast(platform, against(line, version=1), **WINDOW, golden_items=60)
    assert found.golden is not None
    (accuracy,) = (each for each in found.golden.metrics if each.metric == "accuracy")
    assert accuracy.lower is not None
    assert accuracy.lower > 0
    assert (found.challenger, found.break_even, found.live.pairs) == ("version 1", None, 0)
    assert "Not asked" not in contrast_page(found)


def test_what_cannot_be_compared_is_said(served: tuple[Platform, Line], tmp_path: Path):
    platform, line = served
    with pytest.raises(NotFound, match="has no challenger"):
        contrast(platform, line, **WINDOW)
    with pytest.raises(NotFound, match="no version 7"):
        contrast(platform, against(line, version=7), **WINDOW, golden_items=5)
    with pytest.raises(ValueError, match="either a language model"):
        Challenger.model_validate({"model": "openai:m", "version": 1})
    empty, other = open_light_line(tmp_path / "empty")
    with pytest.raises(NotFound, match="serves nothing"):
        contrast(empty, against(other, version=1), **WINDOW)
