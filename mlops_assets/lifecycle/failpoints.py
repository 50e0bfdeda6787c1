"""Named points at which a test kills this process: MLOPS_FAILPOINT=NAME, as if the power had gone."""

import os
import signal

VARIABLE = "MLOPS_FAILPOINT"


def failpoint(name: str) -> None:
    """Kill this process with SIGKILL if MLOPS_FAILPOINT names this point; otherwise do nothing."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
