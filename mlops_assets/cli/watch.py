"""`mlops watch`: look at what is served, judge what is rolled out, and act on it, again and again."""

import logging
import signal
import threading
import time
from typing import Annotated, Any

import typer
from rich.table import Table

from mlops_assets.cli.context import line as line_of
from mlops_assets.cli.context import platform
from mlops_assets.cli.output import Exit, Json, answer, console, table
from mlops_assets.core.errors import PlatformError
from mlops_assets.core.line import Line
from mlops_assets.core.rollout_verdict import TITLES
from mlops_assets.lifecycle.monitoring.watched import RolloutState
from mlops_assets.lifecycle.monitoring.watching import Looked, look

log = logging.getLogger(__name__)


def watch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[LINE...]", help="Lines to watch; all of them if none is named.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once at each line and say what was seen.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.05, max=3_600)] = 1.0,
    json: Json = False,
) -> None:
    """Judge rollouts, promote them or take them back, and sample the health of what serves. Ctrl-C ends it."""
    lines = [line_of(name) for name in dict.fromkeys(names)] if names else list(platform().lines())
    if once:
        looks = [look(platform(), line, platform().clock()) for line in lines]
        answer([_document(each) for each in looks], lambda out: out.print(*map(_shown, looks)))
        return
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    console.print(f"Watching {', '.join(line.line for line in lines)}, every {every:g} s.")
    told: dict[str, str] = {}
    while not stop.is_set():
        began = time.monotonic()
        for line in lines:
            _look(line, told)
        stop.wait(max(0.0, every - (time.monotonic() - began)))
    raise typer.Exit(Exit.DONE)


def _look(line: Line, told: dict[str, str]) -> None:
    """Look at one line and print what happened; trouble with it is no trouble for the others, and is said once."""
    try:
        looked = look(platform(), line, platform().clock())
    except PlatformError as error:
        said = [f"cannot be watched: {error}"]
    except Exception as error:  # a watch that ends judges nothing any more
        said = [f"cannot be watched: {error!r}"]
        log.exception("%s cannot be watched", line.line)
    else:
        told.pop(f"{line.line} trouble", None)
        said = [*looked.did, *_changes(looked, told)]
        _print(line.line, said)
        return
    if told.get(f"{line.line} trouble") != said[0]:
        told[f"{line.line} trouble"] = said[0]
        _print(line.line, said)


def _changes(looked: Looked, told: dict[str, str]) -> list[str]:
    """Say a verdict, and a status of health, when it is another than before."""
    said = []
    running = looked.state.rollout
    if running is not None and running.judged is not None:
        said.append(("verdict", f"v{running.version} at {running.share:.0%}: {running.judged.verdict}"))
    for sample in looked.samples:
        score = "" if sample.score is None else f" (score {sample.score:.2f})"
        issues = f": {' '.join(sample.issues)}" if sample.issues else ""
        said.append((f"health {sample.version}", f"v{sample.version} is {sample.status}{score}{issues}"))
    fresh = [(name, text) for name, text in said if told.get(f"{looked.line} {name}") != _key(text)]
    told.update({f"{looked.line} {name}": _key(text) for name, text in fresh})
    return [text for _, text in fresh]


def _key(text: str) -> str:
    """Leave out of a sentence what changes from one look to the next."""
    return text.partition(" (")[0]


def _print(line: str, said: list[str]) -> None:
    for text in said:
        console.print(f"{platform().clock():%H:%M:%S} {line}: {text}", markup=False, soft_wrap=True)


def _document(looked: Looked) -> dict[str, Any]:
    return {
        "line": looked.line,
        "events": looked.events,
        "busy": looked.busy,
        "did": list(looked.did),
        "state": looked.state.model_dump(mode="json"),
        "samples": [each.model_dump(mode="json") for each in looked.samples],
    }


def _shown(looked: Looked) -> Table:
    running = looked.state.rollout
    title = f"{looked.line}: {looked.events} events"
    if running is None:
        return table(f"{title}, nothing is being rolled out", ("did",), [[each] for each in looked.did])
    verdict = running.judged.verdict if running.judged else "nothing seen yet"
    title += f"; v{running.version} against v{running.against} at {running.share:.0%}: {verdict}"
    return table(title, ("signal", "new", "production", "n", "e-value", "limit", "worse by at most"), _rows(running))


def _rows(running: RolloutState) -> list[list[object]]:
    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.2%}"

    return [
        [
            TITLES[each.signal],
            share(each.canary),
            share(each.stable),
            each.n,
            f"10^{each.log10_e:.1f}",
            f"10^{each.log10_limit:.1f}",
            share(each.bound),
        ]
        for each in (running.judged.signals if running.judged else ())
    ]
