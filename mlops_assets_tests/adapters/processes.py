"""Running snippets in real processes of their own, several at once."""

import subprocess
import sys
import textwrap
from collections.abc import Sequence


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start Python on a snippet; it finds its arguments in `sys.argv[1:]`."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def race(code: str, argument_lists: Sequence[Sequence[str]]) -> list[str]:
    """Run a snippet in several processes that begin their work at the same moment; return what each printed.

    Each snippet prints a line when it is ready and then reads one.
    """
    racers = [start(code, *arguments) for arguments in argument_lists]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n", racer.communicate()[1]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outputs = []
    for racer in racers:
        output, errors = racer.communicate(timeout=300)
        assert racer.returncode == 0, errors
        outputs.append(output)
    return outputs
