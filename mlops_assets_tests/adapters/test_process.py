import json
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from mlops_assets.adapters.process import LocalProcess
from mlops_assets.core.errors import TaskFailed
from mlops_assets.core.line import Limits
from mlops_assets.core.tasks import BaseTask, ScoreResult
from mlops_assets_tests.adapters.processes import start

PATIENT = Limits(minutes=5, memory_gb=4)
RESULT = '{"task":"score","load_seconds":1,"predict_seconds":{},"units":{}}'

PLATFORM = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background job starts with Ctrl-C ignored
from mlops_assets.adapters.process import LocalProcess
from mlops_assets.core.line import Limits
from mlops_assets.core.tasks import BaseTask
task = BaseTask(family="f", config={}, model="m", servable="s", progress="p")
LocalProcess(Path(sys.argv[1]), command=[sys.executable, sys.argv[2]]).run(task, Limits())
"""


def task() -> BaseTask:
    return BaseTask(family="speech", config={}, model="m", servable="s", progress="p")


def worker(tmp_path: Path, code: str) -> LocalProcess:
    script = tmp_path / "worker.py"
    script.write_text(f"import json, os, signal, subprocess, sys, time\nfrom pathlib import Path\n{code}\n")
    return LocalProcess(tmp_path, command=[sys.executable, str(script)])


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(happened) -> None:
    ends = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_task_gives_its_result(tmp_path: Path) -> None:
    compute = worker(
        tmp_path,
        f"assert json.loads(Path(sys.argv[1]).read_text())['family'] == 'speech'\n"
        f"print('hello', dict(os.environ))\nPath(sys.argv[2]).write_text('{RESULT}')",
    )
    result = compute.run(task(), PATIENT, env={"DAGSTER_PIPES_CONTEXT": "x"})
    assert isinstance(result, ScoreResult)
    log = (tmp_path / "tasks" / task().digest / "log.txt").read_text()
    for pinned in ("'OMP_WAIT_POLICY': 'passive'", "'OMP_NUM_THREADS': '", "'DAGSTER_PIPES_CONTEXT': 'x'"):
        assert pinned in log
    assert json.loads((compute.folder(task()) / "request.json").read_text())["task"] == "base"


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("print('the reason')\nsys.exit(3)", "exit code 3"),
        ("print('the reason')\nos.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("print('the reason')\nos.kill(os.getpid(), signal.SIGKILL)", "memory runs out"),
        ("print('the reason')", "without writing a result"),
        ("print('x' * 100000)\nraise ValueError('the reason')", "exit code 1"),
    ],
)
def test_a_failure_is_told_with_its_cause_and_log(tmp_path: Path, code: str, cause: str) -> None:
    with pytest.raises(TaskFailed, match=cause) as failed:
        worker(tmp_path, code).run(task(), PATIENT)
    assert cause in failed.value.cause
    assert failed.value.log is not None
    assert "the reason" in failed.value.log.read_text()
    assert "the reason" in failed.value.what
    assert str(failed.value.log) in failed.value.todo


def test_an_old_result_does_not_count(tmp_path: Path) -> None:
    worker(tmp_path, f"Path(sys.argv[2]).write_text('{RESULT}')").run(task(), PATIENT)
    with pytest.raises(TaskFailed, match="without writing"):
        worker(tmp_path, "").run(task(), PATIENT)


def out_of_time(compute: LocalProcess, pid: Path) -> int:
    """Run a worker that never ends until its time is over; return the pid that it wrote, which may take it a while."""
    for minutes in (0.03, 0.3, 3):
        with pytest.raises(TaskFailed, match=rf"out of time: it may run for {minutes} minutes"):
            compute.run(task(), Limits(minutes=minutes))
        if pid.exists():
            break
    return int(pid.read_text())


def test_a_memory_hog_is_killed_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    hog = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); x = bytearray(600 << 20)"
    compute = worker(
        tmp_path,
        f"subprocess.Popen([sys.executable, '-c', {hog + '; time.sleep(600)'!r}, {str(pid)!r}])\ntime.sleep(600)",
    )
    with pytest.raises(TaskFailed, match=r"out of memory: it used 0\.\d+ GB of its 0\.3 GB"):
        compute.run(task(), Limits(minutes=5, memory_gb=0.3))
    assert not alive(int(pid.read_text()))


def test_an_endless_loop_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    compute = worker(
        tmp_path,
        f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\nPath({str(pid)!r}).write_text(str(os.getpid()))\n"
        "while True: pass",
    )
    assert not alive(out_of_time(compute, pid))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_task_dies_with_the_platform(tmp_path: Path, how: signal.Signals) -> None:
    pids = tmp_path / "pids"
    script = tmp_path / "worker.py"
    script.write_text(
        "import os, subprocess, sys, time\nfrom pathlib import Path\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"Path({str(pids)!r} + '.part').write_text(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(pids)!r} + '.part', {str(pids)!r})\ntime.sleep(600)\n"
    )
    platform = start(PLATFORM, str(tmp_path), str(script))
    wait_until(pids.exists)
    mine = [int(pid) for pid in pids.read_text().split()]
    assert all(alive(pid) for pid in mine)
    platform.send_signal(how)
    platform.communicate()
    wait_until(lambda: not any(alive(pid) for pid in mine))


def test_a_process_that_left_the_group_is_killed_too(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    compute = worker(
        tmp_path,
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        f"Path({str(pid)!r}).write_text(str(child.pid))\ntime.sleep(600)",
    )
    assert not alive(out_of_time(compute, pid))


def test_the_users_own_thread_count_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    compute = worker(tmp_path, f"assert os.environ['OMP_NUM_THREADS'] == '7'\nPath(sys.argv[2]).write_text('{RESULT}')")
    compute.run(task(), PATIENT)
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_a_task_runs_in_the_project_folder_wherever_the_platform_was_started(tmp_path: Path):
    script = tmp_path / "where.py"
    script.write_text("import os, sys; print('here:', os.getcwd()); sys.exit(3)")
    root = tmp_path / "project"
    root.mkdir()
    compute = LocalProcess(tmp_path, root=root, command=[sys.executable, str(script)])
    with pytest.raises(TaskFailed, match=f"here: {root.resolve()}"):
        compute.run(task(), PATIENT)
