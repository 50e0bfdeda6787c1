"""A candidate is asked once more by the gateway's own code, and what comes out has to be what was scored."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.adapters.process import LocalProcess
from mlops_assets.core.line import Limits, Line, Serving
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.core.tasks import ServedItem, ServeResult, ServeTask, Task, TaskResult
from mlops_assets_tests.lifecycle.chain import run, submit
from mlops_assets_tests.lines import baseline_line
from mlops_assets_tests.platform_fixture import InProcess, make_platform


class Served(InProcess):
    """Tasks run in this process, but those of the gateway's model worker are answered otherwise."""

    def __init__(self, serve: Callable[[ServeTask, Limits], TaskResult]) -> None:
        self.serve = serve

    def run(self, task: Task, limits: Limits) -> TaskResult:
        return self.serve(task, limits) if isinstance(task, ServeTask) else super().run(task, limits)


def opened(folder: Path, serve: Callable[[ServeTask, Limits], TaskResult], **changes: object) -> tuple[Platform, Line]:
    line = baseline_line(folder, **changes)
    return make_platform(folder, compute=Served(serve), lines=lambda: [line]), line


def report(platform: Platform, line: Line, batch_id: str) -> EvalReport:
    found = platform.records.get(line.line, batch_id, "eval_report")
    assert isinstance(found, EvalReport)
    return found


def changed(change: Callable[[ServedItem], ServedItem]) -> Callable[[ServeTask, Limits], TaskResult]:
    def serve(task: ServeTask, limits: Limits) -> TaskResult:
        result = InProcess().run(task, limits)
        assert isinstance(result, ServeResult)
        assert len(result.served) == 4
        return result.model_copy(update={"served": (*result.served[:-1], change(result.served[-1]))})

    return serve


def test_a_candidate_that_a_gateway_would_serve_as_it_was_scored_is_released(tmp_path: Path) -> None:
    platform, line = opened(tmp_path, changed(lambda each: each))
    batch_id = submit(platform, line, "good")
    assert run(platform, line, batch_id).verdict == "APPROVE"
    assert (report(platform, line, batch_id).infra_ok, report(platform, line, batch_id).infra_detail) == (True, "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda each: each.model_copy(update={"output": {**each.output, "label": "sport!"}}), "scored was"),
        (lambda each: each.model_copy(update={"output": {**each.output, "confidence": 0.01}}), "scored was"),
        (lambda each: each.model_copy(update={"output": {"label": each.output["label"]}}), "scored was"),
        (lambda each: each.model_copy(update={"problem": "Empty text (BAS010)."}), "would not answer the golden item"),
    ],
)
def test_one_that_it_would_answer_otherwise_is_rejected_with_the_item_it_shows_on(
    tmp_path: Path, change: Callable[[ServedItem], ServedItem], said: str
) -> None:
    platform, line = opened(tmp_path, changed(change))
    batch_id = submit(platform, line, "good")
    decision = run(platform, line, batch_id)
    assert decision.verdict == "REJECT"
    assert any("through the gateway's code" in reason for reason in decision.reasons)
    found = report(platform, line, batch_id)
    assert not found.infra_ok
    assert said in found.infra_detail
    assert platform.versions.pointer(line.line).roles["production"] == 1


def test_one_that_needs_more_memory_than_a_model_worker_has_is_rejected(tmp_path: Path) -> None:
    processes = LocalProcess(tmp_path / "home")
    platform, line = opened(tmp_path, processes.run, serving=Serving(memory_gb=0.01))
    batch_id = submit(platform, line, "good")
    assert run(platform, line, batch_id).verdict == "REJECT"
    assert "out of memory" in report(platform, line, batch_id).infra_detail


def test_it_is_asked_in_a_process_of_its_own(tmp_path: Path) -> None:
    processes = LocalProcess(tmp_path / "home")
    platform, line = opened(tmp_path, processes.run)
    batch_id = submit(platform, line, "good")
    assert run(platform, line, batch_id).verdict == "APPROVE"
