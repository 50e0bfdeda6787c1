"""Stands between the platform and a task's process, and ends the task when the platform dies.

Run as a script, with standard input held open by the platform; it imports nothing but the standard library.
When the input ends (the platform is gone, however it went), the whole process group is killed. Works on every POSIX
system, and does not depend on what the task runs.
"""

import os
import signal
import subprocess
import sys
import threading


def main(command: list[str]) -> int:
    """Run a command to its end and end the same way."""
    task = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_watch, daemon=True).start()
    code = task.wait()
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _watch() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
