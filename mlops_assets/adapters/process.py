"""Running a task in a process of its own: limited, logged, and never outliving the platform."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from mlops_assets.adapters import guardian
from mlops_assets.adapters.child import THREAD_VARIABLES
from mlops_assets.adapters.files import write_whole
from mlops_assets.core.errors import ConfigError, MissingExtra, TaskFailed
from mlops_assets.core.line import Limits
from mlops_assets.core.tasks import OPERATOR_EXIT, TASK_RESULT, OperatorError, Task, TaskResult, operator_error

WORKER = (sys.executable, "-m", "mlops_assets.worker")
FIRST_POLL_SECONDS = 0.05
POLL_SECONDS = 0.5
END_SECONDS = 5
LOG_LINES = 20
LOG_TAIL_BYTES = 8192
GIGABYTE = 1 << 30


class LocalProcess:
    """Fills `Compute` with processes of this machine.

    Request, result and log of a task are kept in `<home>/tasks/<digest of the task>/`. `command` is run with the
    paths of request and result as its last arguments. Tasks run in the folder `root`, so that relative paths in a
    line's configuration mean the same from everywhere. `workers` processes share the machine's cores.
    """

    def __init__(
        self, home: Path, *, root: Path | None = None, command: Sequence[str] = WORKER, workers: int = 1
    ) -> None:
        self._tasks = home.resolve() / "tasks"
        self._root = root
        self._command = tuple(command)
        self._threads = max(1, _cores() // workers)

    def run(self, task: Task, limits: Limits, *, env: Mapping[str, str] | None = None) -> TaskResult:
        """Run one task to its result, with `env` added to the process's environment.

        Raises TaskFailed with the cause (exit code or signal, out of memory, out of time), the last lines of the log
        and its path; ConfigError or MissingExtra if the task says that the installation is to blame. However it ends,
        no process of the task is left.
        """
        folder = self.folder(task)
        request, result, log = folder / "request.json", folder / "result.json", folder / "log.txt"
        write_whole(request, task.canonical_json())
        blamed = operator_error(result)
        for earlier in (result, blamed):
            earlier.unlink(missing_ok=True)
        with log.open("wb") as output:
            cause = self._supervise([*self._command, str(request), str(result)], limits, env or {}, output.fileno())
        if cause == _exited(OPERATOR_EXIT) and blamed.is_file():
            raise _operators(blamed)
        if cause is None and not result.is_file():
            cause = "it ended without writing a result"
        if cause is not None:
            raise TaskFailed(
                f"The {task.task} task failed: {cause}.\n{_tail(log)}", f"Its whole log is {log}.", cause=cause, log=log
            )
        return TASK_RESULT.validate_json(result.read_bytes())

    def folder(self, task: Task) -> Path:
        """Return where request, result and log of a task are."""
        return self._tasks / task.digest

    def _supervise(self, command: list[str], limits: Limits, env: Mapping[str, str], output: int) -> str | None:
        """Run a command under its limits; return why it failed, or None."""
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=self._environment(env),
            cwd=self._root,
            start_new_session=True,
        )
        try:
            return _watch(process, limits)
        finally:
            _kill(process)
            assert process.stdin is not None
            process.stdin.close()

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        pinned: dict[str, str] = dict.fromkeys(THREAD_VARIABLES, str(self._threads))
        pinned["OMP_WAIT_POLICY"] = "passive"
        pinned["TOKENIZERS_PARALLELISM"] = "false"
        if sys.platform == "linux":
            pinned["MLX_DISABLE_COMPILE"] = "1"
        return {**pinned, **os.environ, "PYTHONUNBUFFERED": "1", **env}


def _watch(process: subprocess.Popen[bytes], limits: Limits) -> str | None:
    ends = time.monotonic() + limits.minutes * 60
    poll_seconds = FIRST_POLL_SECONDS
    while True:
        try:
            return _failure(process.wait(timeout=poll_seconds))
        except subprocess.TimeoutExpired:
            poll_seconds = min(POLL_SECONDS, poll_seconds * 1.1)
        used = sum(_memory(member) for member in _members(process.pid))
        if used > limits.memory_gb * GIGABYTE:
            return f"it was out of memory: it used {used / GIGABYTE:.2f} GB of its {limits.memory_gb:g} GB"
        if time.monotonic() > ends:
            return f"it was out of time: it may run for {limits.minutes:g} minutes"


def _operators(path: Path) -> ConfigError | MissingExtra:
    said = OperatorError.parse(path.read_bytes())
    kind = MissingExtra if said.kind == "MissingExtra" else ConfigError
    return kind(said.what, said.todo)


def _exited(code: int) -> str:
    return f"it ended with exit code {code}"


def _failure(code: int) -> str | None:
    if code == 0:
        return None
    if code > 0:
        return _exited(code)
    hint = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
    return f"it was killed by {signal.Signals(-code).name}{hint}"


def _members(pid: int) -> list[psutil.Process]:
    try:
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory(member: psutil.Process) -> int:
    try:
        return member.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a task: its group, and descendants that left the group."""
    members = _members(process.pid)
    with suppress(ProcessLookupError, PermissionError):  # macOS denies a group of which only zombies are left
        os.killpg(process.pid, signal.SIGKILL)
    for member in members:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()
    psutil.wait_procs(members, timeout=END_SECONDS)


def _cores() -> int:
    """Return the physical cores this process may use."""
    physical = psutil.cpu_count(logical=False) or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return max(1, min(physical, usable))


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LOG_LINES:])
