"""One way to answer: a table for people, or with `--json` one document on stdout and everything else on stderr.

Libraries print to stdout as they like. In JSON mode file descriptor 1 is therefore pointed at stderr for the whole
process, and only `answer` and `fail` write to what stdout was.
"""

import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from mlops_assets.core.errors import PlatformError, UsageError


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_DEPLOYED = 3


PIPE_COLUMNS = 140  # where there is no terminal to fit into


class _Plain(Console):
    """A console that shows what strangers wrote and never lets a terminal obey it: escapes, or text that runs back.

    Nor does it take a part of a sentence such as `:x:` for the name of an emoji.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render with a question mark for what cannot be printed."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\r":
                yield segment
            else:
                yield Segment("".join(map(_shown, segment.text)), segment.style)


console = _Plain(stderr=True)
_document_fd: int | None = None
# What terminals obey and JSON need not escape.
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def _claim_stdout(wanted: bool) -> bool:
    global _document_fd
    if wanted and _document_fd is None:
        sys.stdout.flush()
        _document_fd = os.dup(1)
        os.dup2(2, 1)
    return wanted


Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document on stdout.", callback=_claim_stdout, is_eager=True),
]


def answer(document: Any, human: Callable[[Console], None]) -> None:
    """Print `document` in JSON mode, else let `human` print to a console on stdout."""
    if _document_fd is None:
        human(readers())
    else:
        text = json.dumps(document, indent=2, ensure_ascii=False)
        os.write(_document_fd, (_OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n").encode())


def readers() -> Console:
    """Return where people read: stdout, or stderr where stdout is for the document."""
    if _document_fd is not None:
        return console
    return _Plain(width=shutil.get_terminal_size((PIPE_COLUMNS, 24)).columns)


def fail(error: PlatformError) -> NoReturn:
    """Print what happened and what to do about it, and exit with 1 (2 for wrong usage)."""
    if _document_fd is not None:
        answer({"error": error.what, "todo": error.todo}, lambda _: None)
    console.print(f"[bold red]error:[/] {_escape(error.what)}")
    if error.todo:
        console.print(f"  [bold]do:[/] {_escape(error.todo)}")
    raise SystemExit(Exit.USAGE if isinstance(error, UsageError) else Exit.FAILED)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Build a plain table, which says so if it is empty; cells are shown as text, never read as markup."""
    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    made.caption, made.caption_justify = None if rows else "none", "left"
    made.min_width = min(len(title), readers().width)  # a title is as wide as its table
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(_escape("" if cell is None else str(cell)) for cell in row))
    return made


def _shown(character: str) -> str:
    kept = character.isprintable() or character == "\n" or unicodedata.category(character) == "Zs"
    return character if kept else "?"


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
