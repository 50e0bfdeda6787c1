"""What every command needs: the platform, a line by name, and who is asking."""

import getpass
from functools import cache
from typing import Annotated

import typer

from mlops_assets.core.errors import NotFound, UsageError
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.decide.pseudonyms import plain
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import read_settings


def _said(text: str) -> str:
    said = plain(text)
    if not said:
        raise UsageError("A reason is needed: it is written into the ledger.", "Give --reason TEXT.")
    return said


LineName = Annotated[str, typer.Argument(metavar="LINE", help="Name of a model line; `mlops lines` lists them.")]
BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="Batch id, or the start of one.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is written into the ledger.", callback=_said)]


@cache
def platform() -> Platform:
    """Return the platform of this process's settings."""
    return open_platform()


def line(name: str) -> Line:
    """Return the line of that name; NotFound lists those there are."""
    known = {line.line: line for line in platform().lines()}
    if name not in known:
        raise NotFound(f"There is no line '{name}'.", f"The lines are: {', '.join(sorted(known)) or 'none'}.")
    return known[name]


def batch_id(name: str, prefix: str) -> str:
    """Complete the start of a batch id; NotFound when none or several match."""
    batches = [batch.batch_id for batch in platform().batches.list(name)]
    matches = [known for known in batches if known.startswith(prefix)]
    if prefix in batches:
        return prefix
    if len(matches) != 1:
        known = ", ".join(matches or batches[-5:]) or "none yet"
        problem = "fits several batches" if matches else "is no batch"
        raise NotFound(f"'{prefix}' {problem} of {name}.", f"{'Candidates' if matches else 'Latest'}: {known}.")
    return matches[0]


def actor() -> str:
    """Return the name that the ledger shows for this person: MLOPS_ACTOR, else the login name."""
    return read_settings().actor or getpass.getuser()
