"""Manners of a process that works for another: it shares the machine's cores, and never outlives who started it."""

import os
import signal
import threading
import time

THREAD_VARIABLES: tuple[str, ...] = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


def pin_threads() -> None:
    """Keep to the cores this process may use, and wait passively: what the environment says already stands."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for name, value in (dict.fromkeys(THREAD_VARIABLES, str(usable)) | {"OMP_WAIT_POLICY": "passive"}).items():
        os.environ.setdefault(name, value)


def die_with_parent() -> None:
    """Kill this process within a second of its parent's end: a task without a reader must not hold memory or a GPU."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
