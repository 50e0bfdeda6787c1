"""Named points at which a test kills this process: FAILPOINT=NAME, as if the power had gone.

It is no setting of the platform and so has no MLOPS_ prefix: a misspelt setting is an error.
"""

import os
import signal

VARIABLE = "FAILPOINT"


def failpoint(name: str) -> None:
    """Kill this process with SIGKILL if FAILPOINT names this point; otherwise do nothing."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
