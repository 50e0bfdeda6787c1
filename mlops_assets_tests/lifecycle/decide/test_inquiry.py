"""The agent's cycle on a real line: what it buys, once, and within the policy's budget."""

import multiprocessing
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.core.errors import Stale
from mlops_assets.core.line import Line
from mlops_assets.core.policy import Inquiry
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Decision, Verdict
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle.decide import answer, decide
from mlops_assets.lifecycle.deployment.release import release
from mlops_assets.lifecycle.evaluation.evaluate import evaluate
from mlops_assets.lifecycle.evaluation.evaluation_sets import sealed_set
from mlops_assets.lifecycle.evaluation.looks import record_opening
from mlops_assets.lifecycle.training.train import train
from mlops_assets_tests.lifecycle.decide import inquiry
from mlops_assets_tests.lifecycle.decide.inquiry import (
    ANALYST,
    FORGET,
    deed,
    diary,
    evaluated,
    inquiring_line,
    open_line,
    serve_wrong,
    yes,
)
from mlops_assets_tests.platform_fixture import copied

JUDGED = ["gather", "gates", "statistics", "plan"]
ALL = [
    *JUDGED,
    "report_slices",
    *JUDGED,
    "retrain",
    *JUDGED,
    "train_seed",
    *JUDGED,
    "open_sealed",
    *JUDGED,
]
POINTS = (
    "graph: after gather",
    "graph: after gates",
    "graph: after statistics",
    "graph: after plan",
    "tools: after purchase",
    "graph: after report_slices",
    "tools: after training",
    "train: before record",
    "graph: after retrain",
    "graph: after train_seed",
    "tools: after opening",
    "graph: after open_sealed",
    "graph: after analyst",
    "graph: after explain",
    "decide: before record",
    "decide: after record",
    "decide: after question",
)
WHILE_IT_IS_REPLACED = ("train: after record", "evaluate: before record", "tools: after evaluation")
ANSWERED = ("answer: after answer", "graph: after human", "graph: after conclude", "decide: before record")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which one batch is evaluated and unclear; what a policy says of the agent is not part of it."""
    folder = tmp_path_factory.mktemp("inquiry") / "line"
    line = inquiring_line(folder)
    platform = open_line(folder, line)
    serve_wrong(platform, line)
    return folder, evaluated(platform, line)


@pytest.fixture
def begun(prepared: tuple[Path, str], tmp_path: Path) -> Callable[..., tuple[Platform, Line, str]]:
    """Open a copy of it, under a policy with changes, by a model that recommends something."""

    def begin(recommendation: Verdict | None = None, **changes: object) -> tuple[Platform, Line, str]:
        template, batch = prepared
        copied(template, tmp_path / "line")
        (tmp_path / "line" / "diary").write_text("", encoding="utf-8")
        line = inquiring_line(tmp_path / "line", **changes)
        platform = open_line(tmp_path / "line", line, recommendation)
        evaluate(platform, line, batch)
        return platform, line, batch

    return begin


def bought(platform: Platform, line: Line) -> list[object]:
    return [entry.body["tool"] for entry in platform.ledger.entries(line.line, "bought")]


def test_unclear_gain_buys_slices_another_training_seeds_and_the_sealed_set(
    begun: Callable[..., tuple[Platform, Line, str]],
) -> None:
    platform, line, batch = begun(min_seeds=2)
    decision = decide(platform, line, batch)
    assert decision.verdict == "APPROVE"
    assert list(decision.path) == [*ALL, "conclude"]
    evidence = decision.evidence
    assert [each.tool for each in evidence.purchases] == ["slice_report", "retrain", "seeds", "sealed_set"]
    assert sum(each.cost for each in evidence.purchases) == 8
    assert (evidence.attempt, evidence.openings, evidence.looks) == (1, 1, 2)
    assert evidence.noise is not None
    assert len(evidence.noise.seeds) == 2
    candidate = platform.records.get(line.line, batch, "candidate_model")
    assert isinstance(candidate, CandidateModel)
    assert (candidate.servable, candidate.settings) == (evidence.candidate, FORGET)
    assert [each.kind for each in evidence.sets] == ["golden", "holdout", "sealed"]

    entries = len(platform.ledger.entries(line.line))
    assert (train(platform, line, batch), decide(platform, line, batch)) == (candidate, decision)
    assert len(platform.ledger.entries(line.line)) == entries
    assert release(platform, line, batch).servable == candidate.servable


def test_nothing_is_bought_for_a_clear_case_or_beyond_the_budget(
    begun: Callable[..., tuple[Platform, Line, str]],
) -> None:
    platform, line, batch = begun(inquiry=Inquiry(budget=0.5), min_seeds=2)
    decision = decide(platform, line, batch)
    assert (decision.verdict, list(decision.path)) == ("HUMAN_REVIEW", [*JUDGED, "explain", "human"])
    assert bought(platform, line) == []


@pytest.mark.parametrize(
    ("budget", "tools"),
    [
        (1, ["slice_report"]),
        (4, ["retrain"]),
        (5, ["slice_report", "retrain"]),
        (7, ["slice_report", "retrain"]),
        (8, ["slice_report", "retrain", "seeds", "sealed_set"]),
    ],
)
def test_the_budget_is_never_exceeded(
    begun: Callable[..., tuple[Platform, Line, str]], budget: float, tools: list[str]
) -> None:
    platform, line, batch = begun(inquiry=Inquiry(budget=budget), min_seeds=2)
    decision = decide(platform, line, batch)
    assert bought(platform, line) == tools
    assert decision.verdict == ("APPROVE" if budget == 8 else "HUMAN_REVIEW")
    assert sum(each.cost for each in decision.evidence.purchases) <= budget


def test_judged_again_a_batch_has_no_new_budget(begun: Callable[..., tuple[Platform, Line, str]]) -> None:
    platform, line, batch = begun(inquiry=Inquiry(budget=5), min_seeds=2)
    first = decide(platform, line, batch)
    other = inquiring_line(platform.root, inquiry=Inquiry(budget=5), min_seeds=3)
    again = decide(platform, other, batch)
    assert again.decision_id != first.decision_id
    assert again.evidence.attempt == 1
    assert bought(platform, line) == ["slice_report", "retrain"]


def test_sealed_set_is_opened_once_for_a_candidate_whatever_is_decided_again(
    begun: Callable[..., tuple[Platform, Line, str]],
) -> None:
    platform, line, batch = begun()
    decide(platform, line, batch)
    platform.records.forget(line.line, batch, "decision")
    other = inquiring_line(platform.root, min_items_to_promote=30)
    again = decide(platform, other, batch)
    assert again.verdict == "APPROVE"
    assert len(platform.ledger.entries(line.line, "opened")) == 1
    assert bought(platform, line).count("sealed_set") == 1


def test_used_up_openings_are_a_persons_matter(begun: Callable[..., tuple[Platform, Line, str]]) -> None:
    platform, line, batch = begun(openings_budget=1)
    sealed = sealed_set(platform, line)
    assert sealed is not None
    record_opening(platform, line.line, batch, "0" * 64, sealed.dataset)
    decision = decide(platform, line, batch)
    assert (decision.verdict, decision.evidence.openings) == ("HUMAN_REVIEW", 1)
    assert "all of its 1 openings are used up" in " ".join(decision.reasons)
    assert "sealed_set" not in bought(platform, line)


def test_candidate_that_was_not_evaluated_is_not_decided_on(begun: Callable[..., tuple[Platform, Line, str]]) -> None:
    platform, line, batch = begun()
    candidate = platform.records.get(line.line, batch, "candidate_model")
    assert isinstance(candidate, CandidateModel)
    platform.records.put("candidate_model", candidate.model_copy(update={"attempt": 1}))
    with pytest.raises(Stale, match="was not evaluated"):
        decide(platform, line, batch)


@pytest.mark.parametrize(
    ("recommendation", "verdict", "ending"),
    [
        (None, "APPROVE", ["analyst", "conclude"]),
        ("APPROVE", "APPROVE", ["analyst", "conclude"]),
        ("HUMAN_REVIEW", "HUMAN_REVIEW", ["analyst", "explain", "human"]),
        ("REJECT", "REJECT", ["analyst", "explain", "conclude"]),
    ],
)
def test_the_analyst_is_heard_at_the_end_and_once(
    begun: Callable[..., tuple[Platform, Line, str]], recommendation: Verdict | None, verdict: str, ending: list[str]
) -> None:
    platform, line, batch = begun(recommendation, analyst=ANALYST, min_seeds=2)
    decision = decide(platform, line, batch)
    assert (decision.verdict, list(decision.path)) == (verdict, [*ALL, *ending])
    assert (decision.analysis is None) == (verdict == "APPROVE")
    assert [each.failure == "" for each in decision.exchanges] == [recommendation is not None]
    assert decide(platform, line, batch) == decision
    assert diary(platform.root).count("verdict") == 1


def test_an_answer_needs_no_checkpoint(begun: Callable[..., tuple[Platform, Line, str]]) -> None:
    platform, line, batch = begun("HUMAN_REVIEW", analyst=ANALYST)
    waiting = decide(platform, line, batch)
    for path in platform.home.glob("checkpoints.db*"):
        path.unlink()
    settled = answer(platform, waiting.decision_id, yes())
    assert (settled.verdict, settled.exchanges) == ("APPROVE", waiting.exchanges)
    assert settled.evidence == waiting.evidence
    assert diary(platform.root).count("verdict") == 1


def test_killed_at_every_node_in_turn_it_buys_asks_and_concludes_once(
    begun: Callable[..., tuple[Platform, Line, str]],
) -> None:
    platform, line, batch = begun(min_seeds=2, analyst=ANALYST)
    for point in POINTS:
        assert run(platform, line, batch, point) == -9, point
    assert run(platform, line, batch) == 0
    for point in ANSWERED:
        assert run(platform, line, batch, point, answers=True) == -9, point
    assert run(platform, line, batch, answers=True) == 0
    _once(platform, line, batch)


def test_a_question_waits_in_postgres_too(begun: Callable[..., tuple[Platform, Line, str]], postgres_url: str) -> None:
    platform, line, batch = begun("HUMAN_REVIEW", analyst=ANALYST)
    waiting = decide(replace(platform, checkpoints_url=postgres_url), line, batch)
    other = open_line(platform.root, line, "REJECT", checkpoints=postgres_url)
    assert decide(other, line, batch) == waiting
    settled = answer(other, waiting.decision_id, yes())
    assert (settled.verdict, settled.path) == ("APPROVE", (*waiting.path, "conclude"))
    assert not (platform.home / "checkpoints.db").exists()


@pytest.mark.slow
@pytest.mark.parametrize("point", [*POINTS, *WHILE_IT_IS_REPLACED, *ANSWERED[1:3]])
def test_killed_at_one_node_it_buys_asks_and_concludes_once(
    begun: Callable[..., tuple[Platform, Line, str]], point: str
) -> None:
    platform, line, batch = begun(min_seeds=2, analyst=ANALYST)
    asking = point not in ANSWERED
    assert run(platform, line, batch, point if asking else "") == (-9 if asking else 0)
    assert run(platform, line, batch) == 0
    if not asking:
        assert run(platform, line, batch, point, answers=True) == -9
    assert run(platform, line, batch, answers=True) == 0
    _once(platform, line, batch)


def _once(platform: Platform, line: Line, batch: str) -> None:
    decision = platform.records.get(line.line, batch, "decision")
    assert isinstance(decision, Decision)
    assert (decision.verdict, decision.evidence.attempt) == ("APPROVE", 1)
    assert list(decision.path)[-4:] == ["analyst", "explain", "human", "conclude"]
    assert sorted(map(str, bought(platform, line))) == ["retrain", "sealed_set", "seeds", "slice_report"]
    kinds = Counter(entry.kind for entry in platform.ledger.entries(line.line, batch_id=batch))
    assert (kinds["opened"], kinds["decided"], kinds["reviewed"], kinds["looked"]) == (1, 1, 1, 2)
    assert len(platform.reviews.list()) == 1
    assert diary(platform.root).count("train") == 2
    assert platform.ledger.verify() == []


def run(platform: Platform, line: Line, batch: str, point: str = "", *, answers: bool = False) -> int | None:
    """Go on with a batch in a process of its own, which is killed at a point; return its exit code."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([inquiry.__name__, "langgraph.graph", "langgraph.checkpoint.sqlite"])
    process = context.Process(
        target=deed, args=(platform.root, line, "HUMAN_REVIEW", batch, point), kwargs={"answers": answers}
    )
    process.start()
    process.join()
    return process.exitcode
