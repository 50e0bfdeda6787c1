"""The worker as it is run: a process that reads a request and writes a result."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from dagster_pipes import PipesDefaultContextLoader, PipesDefaultMessageWriter, encode_param

from mlops_assets.adapters.process import LocalProcess
from mlops_assets.core.dataset import write_items
from mlops_assets.core.errors import ConfigError
from mlops_assets.core.family import Progress
from mlops_assets.core.line import Limits
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.data import Item
from mlops_assets.core.tasks import (
    OPERATOR_EXIT,
    TASK_RESULT,
    BaseTask,
    CheckTask,
    OperatorError,
    ScoreResult,
    ScoreTask,
    TrainResult,
    TrainTask,
    operator_error,
)

WORKER = [sys.executable, "-m", "mlops_assets.worker"]


def work(folder: Path, task: Record, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "request.json").write_text(task.canonical_json())
    command = [*WORKER, str(folder / "request.json"), str(folder / "result.json")]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


def task_fields(folder: Path) -> dict[str, Any]:
    return {"family": "baseline", "config": {}, "progress": str(folder / "progress.jsonl")}


def dataset(folder: Path) -> Path:
    words = [("red apple", "fruit"), ("green pear", "fruit"), ("fast car", "vehicle"), ("slow train", "vehicle")]
    write_items(folder, [Item(id=text, value=text, target=label, cluster="a") for text, label in words])
    return folder


def base(folder: Path) -> tuple[str, str]:
    model, servable = str(folder / "model"), str(folder / "servable")
    done = work(folder, BaseTask(model=model, servable=servable, **task_fields(folder)))
    assert done.returncode == 0, done.stderr
    return model, servable


def test_it_trains_and_scores(tmp_path: Path) -> None:
    model, _ = base(tmp_path)
    data, run_dir = dataset(tmp_path / "data"), tmp_path / "run"
    empty = tmp_path / "empty"
    write_items(empty, [])
    train = TrainTask(
        data=str(data), held_out=str(data), parent=model, seed=1, run_dir=str(run_dir), **task_fields(tmp_path)
    )
    done = work(tmp_path, train)
    assert done.returncode == 0, done.stderr
    result = TASK_RESULT.validate_json((tmp_path / "result.json").read_bytes())
    assert isinstance(result, TrainResult)
    assert result.trained.items == 4
    score = ScoreTask(
        servable=str(run_dir / "servable"),
        datasets={"golden": str(data), "none": str(empty)},
        out=str(tmp_path / "out"),
        **task_fields(tmp_path),
    )
    assert work(tmp_path, score).returncode == 0
    result = TASK_RESULT.validate_json((tmp_path / "result.json").read_bytes())
    assert isinstance(result, ScoreResult)
    assert result.units["golden"] > 0
    assert result.predict_seconds["none"] == 0
    assert len((tmp_path / "out" / "golden.jsonl").read_text().splitlines()) == 4
    assert (tmp_path / "out" / "none.jsonl").read_text() == ""
    stages = [Progress.parse(line).stage for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert stages[-1] == "score golden"


def test_an_error_is_a_sentence_and_leaves_no_result(tmp_path: Path) -> None:
    fields = {**task_fields(tmp_path), "config": {"smothing": 1}}
    done = work(tmp_path, CheckTask(folder=str(tmp_path), out=str(tmp_path / "out"), **fields))
    assert done.returncode == OPERATOR_EXIT
    assert "config.smothing" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "result.json").exists()
    said = OperatorError.parse(operator_error(tmp_path / "result.json").read_bytes())
    assert said.kind == "ConfigError"
    assert "config.smothing" in said.what


def test_the_platform_hears_a_wrong_configuration_as_that_and_not_as_a_failed_task(tmp_path: Path) -> None:
    fields = {**task_fields(tmp_path), "config": {"smothing": 1}}
    task = CheckTask(folder=str(tmp_path), out=str(tmp_path / "out"), **fields)
    with pytest.raises(ConfigError, match=r"config\.smothing"):
        LocalProcess(tmp_path).run(task, Limits())


def test_a_defect_shows_its_traceback(tmp_path: Path) -> None:
    done = work(tmp_path, ScoreTask(servable=str(tmp_path / "no"), datasets={}, out="o", **task_fields(tmp_path)))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert not (tmp_path / "result.json").exists()


def test_it_says_how_it_is_used() -> None:
    done = subprocess.run(WORKER, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_launched_by_dagster_it_streams_log_and_progress(tmp_path: Path) -> None:
    context, messages = tmp_path / "context.json", tmp_path / "messages"
    names = ("asset_keys", "code_version_by_asset_key", "provenance_by_asset_key", "partition_key")
    rest = ("partition_key_range", "partition_time_window", "job_name")
    context.write_text(json.dumps(dict.fromkeys(names + rest) | {"run_id": "r", "retry_number": 0, "extras": {}}))
    model, servable = str(tmp_path / "model"), str(tmp_path / "servable")
    done = work(tmp_path, BaseTask(model=model, servable=servable, **task_fields(tmp_path)))
    assert done.returncode == 0
    score = ScoreTask(
        servable=servable,
        datasets={"golden": str(dataset(tmp_path / "data"))},
        out=str(tmp_path / "out"),
        **task_fields(tmp_path),
    )
    done = work(
        tmp_path,
        score,
        DAGSTER_PIPES_CONTEXT=encode_param({PipesDefaultContextLoader.FILE_PATH_KEY: str(context)}),
        DAGSTER_PIPES_MESSAGES=encode_param({PipesDefaultMessageWriter.FILE_PATH_KEY: str(messages)}),
    )
    assert done.returncode == 0, done.stderr
    methods = [json.loads(line)["method"] for line in messages.read_text().splitlines()]
    assert methods[0] == "opened"
    assert "log" in methods
    assert "report_custom_message" in methods
    assert methods[-1] == "closed"
    assert "score golden" not in done.stderr


def test_it_does_not_outlive_its_parent(tmp_path: Path) -> None:
    fifo = tmp_path / "request.json"
    os.mkfifo(fifo)
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({[*WORKER, str(fifo), str(tmp_path / 'result.json')]!r})\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    with fifo.open("w"):  # the worker reads its request: it is up, and waits
        worker = psutil.Process(pid)
        parent.kill()
        parent.wait()
        parent.stdout.close()
        assert psutil.wait_procs([worker], timeout=30)[0]
