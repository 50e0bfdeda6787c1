"""What runs in a process of its own: one task of a family, from a request file to a result file.

Training and scoring are kept out of the orchestrator so that they can be limited, killed and resumed, and so that no
machine learning framework is ever imported beside Dagster. The same command works in a plain terminal; launched by
Dagster Pipes it also streams its log and progress into the run. It never outlives the process that started it.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, PipesContext, open_dagster_pipes
from pydantic import BaseModel, JsonValue

from mlops_assets.adapters.child import die_with_parent, pin_threads
from mlops_assets.core.dataset import item_input, iterate_items, read_items
from mlops_assets.core.digests import canonical_json
from mlops_assets.core.errors import ConfigError, MissingExtra, PlatformError
from mlops_assets.core.family import Family, Predictor, Progress, Report
from mlops_assets.core.records.base import Record
from mlops_assets.core.tasks import (
    OPERATOR_EXIT,
    TASK,
    BaseResult,
    BaseTask,
    CheckResult,
    CheckTask,
    ExportResult,
    ExportTask,
    OperatorError,
    ScoreResult,
    ScoreTask,
    ServedItem,
    ServeResult,
    ServeTask,
    Task,
    TaskResult,
    TrainResult,
    TrainTask,
    operator_error,
)
from mlops_assets.serving.engine import frames, model_worker
from mlops_assets.serving.engine.exchange import Inputs, replies_of
from mlops_assets.serving.engine.frames import Blob
from mlops_assets.wiring.families import family_config, load_family, vendor_packages

SAY_SECONDS = 5.0
CHUNK = 32


def main(arguments: list[str]) -> int:
    """Run `REQUEST.json RESULT.json`; 0 when the result is written, 1 with a sentence on stderr when it is not.

    78 says that the installation is to blame, and that an `OperatorError` was written beside the result.
    """
    if len(arguments) != 2:
        print("usage: python -m mlops_assets.worker REQUEST.json RESULT.json", file=sys.stderr)  # noqa: T201
        return 2
    pin_threads()
    die_with_parent()
    request, result = (Path(argument) for argument in arguments)
    try:
        with _pipes() as pipes:
            task = TASK.validate_json(request.read_bytes())
            answer = run(task, _reporter(Path(task.progress), pipes))
            _write(result, answer)
    except (ConfigError, MissingExtra) as error:
        kind = "MissingExtra" if isinstance(error, MissingExtra) else "ConfigError"
        _write(operator_error(result), OperatorError(kind=kind, what=error.what, todo=error.todo))
        print(error, file=sys.stderr)  # noqa: T201
        return OPERATOR_EXIT
    except PlatformError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def run(task: Task, report: Report) -> TaskResult:
    """Run one task in this process and return its result; raises what the family raises, and ConfigError."""
    family = load_family(task.family)
    config = family_config(family, task.config, where="the task")
    with vendor_packages(task.family):
        match task:
            case CheckTask():
                return CheckResult(checked=family.check(Path(task.folder), Path(task.out), config, report))
            case BaseTask():
                family.base(config, Path(task.model))
                family.export(Path(task.model), Path(task.servable), config)
                return BaseResult()
            case ExportTask():
                family.export(Path(task.model), Path(task.servable), config)
                return ExportResult()
            case TrainTask():
                return _train(family, task, config, report)
            case ScoreTask():
                return _score(family, task, report)
            case ServeTask():
                return _serve(task)


def _write(path: Path, record: Record) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(record.canonical_json(), encoding="utf-8")
    partial.replace(path)


def _train(family: Family, task: TrainTask, config: BaseModel, report: Report) -> TrainResult:
    run_dir = Path(task.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    trained = family.train(
        Path(task.data), Path(task.held_out), Path(task.parent), config, task.seed, run_dir, report
    )  # fmt: skip
    family.export(run_dir / "model", run_dir / "servable", config)
    family.companions(Path(task.data), run_dir / "model", run_dir / "companions", config, task.seed)
    return TrainResult(trained=trained)


def _score(family: Family, task: ScoreTask, report: Report) -> ScoreResult:
    started = time.perf_counter()
    predictor = family.load(Path(task.servable))
    load_seconds = time.perf_counter() - started
    out = Path(task.out)
    out.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    units: dict[str, float] = {}
    for name, folder in task.datasets.items():
        items = read_items(Path(folder))
        inputs = [item_input(Path(folder), item) for item in items]
        if items and not seconds:
            predictor.predict(inputs[:1])
        predictions, seconds[name] = _predict(predictor, inputs, name, report)
        units[name] = family.units(items)
        lines = "".join(canonical_json(prediction) + "\n" for prediction in predictions)
        (out / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return ScoreResult(load_seconds=load_seconds, predict_seconds=seconds, units=units)


def _serve(task: ServeTask) -> ServeResult:
    """Take items to the bytes that a gateway sends its model worker, and back."""
    folder = Path(task.data)
    items = list(islice(iterate_items(folder), task.items))
    wanted = Inputs.of([_sent(item_input(folder, item)) for item in items])
    with tempfile.TemporaryDirectory(prefix="mlops-model-") as media:
        servable = frames.Servable(family=task.family, config=task.config, path=task.servable, folder=media)
        replies = replies_of(model_worker.load(servable).answer([wanted.letters, *wanted.parts]), len(wanted))
    return ServeResult(
        served=tuple(
            ServedItem(item=item.id, output=json.loads(reply.body or "null"), problem=reply.problem or reply.why)
            for item, reply in zip(items, replies, strict=True)
        )
    )


def _sent(value: Path | JsonValue) -> JsonValue | Blob:
    return Blob(value.read_bytes()) if isinstance(value, Path) else value


def _predict(predictor: Predictor, inputs: list[Any], name: str, report: Report) -> tuple[list[Any], float]:
    predictions: list[Any] = []
    seconds = 0.0
    for start in range(0, len(inputs), CHUNK):
        began = time.perf_counter()
        predictions += predictor.predict(inputs[start : start + CHUNK])
        seconds += time.perf_counter() - began
        report(Progress(stage=f"score {name}", done=len(predictions), total=len(inputs)))
    return predictions, seconds


def _reporter(path: Path, pipes: PipesContext | None) -> Report:
    """Append every message to the progress file; say one in the log when a stage begins, ends, or 5 s have passed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    say: Callable[[str], None] = pipes.log.info if pipes else lambda text: print(text, file=sys.stderr)  # noqa: T201
    last: dict[str, Any] = {"stage": None, "at": 0.0}

    def report(progress: Progress) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(progress.canonical_json() + "\n")
        now = time.monotonic()
        if progress.stage == last["stage"] and progress.done < progress.total and now - last["at"] < SAY_SECONDS:
            return
        last.update(stage=progress.stage, at=now)
        values = "  ".join(f"{key} {value:.4g}" for key, value in progress.values.items())
        say(f"{progress.stage} {progress.done}/{progress.total}  {values}{progress.text}".rstrip())
        if pipes:
            pipes.report_custom_message(json.loads(progress.canonical_json()))

    return report


@contextmanager
def _pipes() -> Iterator[PipesContext | None]:
    if DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ:
        yield None
        return
    with open_dagster_pipes() as pipes:
        yield pipes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
