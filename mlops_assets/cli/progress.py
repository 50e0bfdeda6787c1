"""A progress bar for the terminal, fed by the progress files that every long task writes.

It follows files, not function calls, so it shows a batch whether this process runs it or the Dagster daemon does.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Display

from mlops_assets.cli.output import console
from mlops_assets.core.family import Progress
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.progress import progress_file

TICK_SECONDS = 0.3


class Bar:
    """One displayed row per stage of the batches that are followed."""

    def __init__(self, display: Display, files: dict[Path, str]) -> None:
        self._display = display
        self._files = files
        self._offsets = {path: path.stat().st_size if path.exists() else 0 for path in files}
        self._row = display.add_task("starting", total=None, label="", values="")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def wait_for(self, ended: Callable[[], bool]) -> None:
        """Return when `ended` says so; it is asked about three times a second."""
        while not ended():
            self._stop.wait(TICK_SECONDS)

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        self._thread.join()
        self._display.update(self._row, visible=False)

    def _follow(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            for path, label in self._files.items():
                self._read(path, label)

    def _read(self, path: Path, label: str) -> None:
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._offsets[path])
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if not line.endswith(b"\n"):
                break
            self._offsets[path] += len(line)
            event = Progress.parse(line)
            values = "  ".join(f"{key} {value:.4g}" for key, value in event.values.items())
            self._display.update(
                self._row,
                description=event.stage,
                completed=event.done,
                total=event.total or None,
                label=label,
                values=values or event.text,
            )


@contextmanager
def bar(platform: Platform, batches: Sequence[tuple[Line, str]]) -> Iterator[Bar]:
    """Show the progress of batches on stderr until the block ends."""
    display = Display(
        TextColumn("{task.fields[label]}"),
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[values]}", markup=True),
        console=console,
        transient=True,
    )
    files = {progress_file(platform, line.line, batch_id): f"{line.line} {batch_id}" for line, batch_id in batches}
    with display:
        made = Bar(display, files)
        try:
            yield made
        finally:
            made.close()
