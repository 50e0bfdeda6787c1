"""A line whose first candidate is unclear and whose second is better, for the agent to find out; also in processes.

What serves has learnt every label wrong, and the line forgets little: a good batch changes nothing yet. The policy's
other setting forgets what serves, so the candidate that is trained with it is a clear gain, which further seeds and a
sealed set confirm. The analyst is a model that writes down when it is asked.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mlops_assets.core import policy
from mlops_assets.core.line import EvaluationSet, Line
from mlops_assets.core.policy import Analyst, Inquiry
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import AnalystReply, Decision, Exchange, ReviewAnswer, Verdict
from mlops_assets.core.tasks import Task, TaskResult
from mlops_assets.lifecycle.decide import answer, decide
from mlops_assets.lifecycle.deployment.bootstrapping import bootstrap
from mlops_assets.lifecycle.evaluation.evaluate import evaluate
from mlops_assets.lifecycle.failpoints import VARIABLE
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets.lifecycle.training.train import retrained, train
from mlops_assets_tests.lifecycle.chain import YES, submit
from mlops_assets_tests.lines import baseline_line, texts, write_rows
from mlops_assets_tests.platform_fixture import InProcess, make_platform

FORGET = {"memory": 0.01}
ANALYST = Analyst(model="tests:model")


@dataclass(frozen=True)
class Counted(InProcess):
    """Runs tasks in this process and writes down each that came to its end."""

    diary: Path

    def run(self, task: Task, limits: object) -> TaskResult:
        result = super().run(task, limits)  # pyright: ignore[reportArgumentType]
        _note(self.diary, task.task)
        return result


@dataclass(frozen=True)
class Recommending:
    """Fills `Analyst` with a model that always recommends the same; None: it is never reachable."""

    diary: Path
    recommendation: Verdict | None

    def ask(self, settings: policy.Analyst, purpose: Literal["verdict", "wording"], prompt: str) -> Exchange:
        _note(self.diary, purpose)
        said = self.recommendation and AnalystReply(recommendation=self.recommendation, reason="As I see it.")
        failure = "" if said else "There is no model."
        answer = said.canonical_json() if said else None
        return Exchange(
            purpose=purpose, model="tests:model", prompt=prompt, answer=answer, reply=said, failure=failure, seconds=0
        )

    def ready(self, settings: policy.Analyst) -> None:
        """Nothing is needed."""


def inquiring_line(folder: Path, *, sealed: bool = True, **changes: object) -> Line:
    """Return the line; `changes` are to its policy."""
    line = baseline_line(folder)
    values: dict[str, object] = {"retrain_with": (FORGET,), "inquiry": Inquiry(budget=20)}
    path = folder / "sealed" / line.line
    write_rows(path / "texts.jsonl", texts(103, 60, users=20))
    return line.model_copy(
        update={
            "config": {**line.config, "memory": 1.0},
            "suites": (),
            "policy": line.policy.model_copy(update=values | changes),
            "sealed": EvaluationSet(path=str(path), origin="synthetic") if sealed else None,
        }
    )


def open_line(
    folder: Path, line: Line, recommendation: Verdict | None = None, checkpoints: str | None = None
) -> Platform:
    """Open the platform under `folder` as a process finds it."""
    diary = folder / "diary"
    made = make_platform(folder, compute=Counted(diary), lines=lambda: [line])
    return replace(
        made,
        code_version=lambda _: "test",
        analyst=Recommending(diary, recommendation),
        checkpoints_url=checkpoints or made.checkpoints_url,
    )


def serve_wrong(platform: Platform, line: Line) -> None:
    """Let a version serve that has learnt every label wrong."""
    bootstrap(platform, line)
    batch = submit(platform, line, "wrong", items=1500)
    validate(platform, line, batch)
    made = retrained(platform, line, batch, {})
    version = platform.versions.add(
        line.line, servable=made.servable, model=made.model, batch_id=None, decision_id="by hand", parent_version=1
    )
    pointer = platform.versions.pointer(line.line)
    platform.versions.move(line.line, pointer, {"production": version.version, "previous": 1})


def evaluated(platform: Platform, line: Line, items: int = 120) -> str:
    """Submit a good batch, take it to its evaluation, and return its id."""
    batch = submit(platform, line, "good", items=items)
    validate(platform, line, batch)
    train(platform, line, batch)
    evaluate(platform, line, batch)
    return batch


def deed(folder: Path, line: Line, recommendation: Verdict | None, batch: str, point: str, *, answers: bool) -> None:
    """Take a batch to its decision, or answer its question, and die at a failpoint: what a process does."""
    os.environ[VARIABLE] = point
    platform = open_line(folder, line, recommendation)
    if answers:
        waiting = platform.records.get(line.line, batch, "decision")
        assert isinstance(waiting, Decision)
        answer(platform, waiting.decision_id, yes())
    else:
        train(platform, line, batch)
        evaluate(platform, line, batch)
        decide(platform, line, batch)


def yes(reviewer: str = "bob") -> ReviewAnswer:
    """Return an approval."""
    return YES.model_copy(update={"reviewer": reviewer})


def diary(folder: Path) -> Sequence[str]:
    """Return what was run and asked, in order."""
    return (folder / "diary").read_text(encoding="utf-8").split()


def _note(diary: Path, word: str) -> None:
    with diary.open("a", encoding="utf-8") as file:
        file.write(f"{word}\n")
