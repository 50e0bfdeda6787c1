"""The one way a line's pointer moves: the ledger first, then the table, then everybody who follows it.

The entry of a move names the whole state after it (`revision`, `roles`, `rollout`) and has the revision for its key.
So every revision has one entry, whoever races; a move that a crash cut off is made by whoever comes next; and the
ledger alone can say what served when (`serving_history`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from mlops_assets.core.errors import Corrupt, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports.accountability import LedgerEntry
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer, Role
from mlops_assets.core.serving import Rollout
from mlops_assets.lifecycle.failpoints import failpoint

Verb = Literal["bootstrap", "release", "deploy", "advance", "hold", "promote", "rollback", "rebaseline"]
KINDS: dict[Verb, str] = {
    "bootstrap": "bootstrapped",
    "release": "released",
    "deploy": "deployed",
    "advance": "advanced",
    "hold": "held",
    "promote": "promoted",
    "rollback": "rolled_back",
    "rebaseline": "rebaselined",
}


@dataclass(frozen=True)
class Standing:
    """Where a line stands: its pointer, the ledger's entry of the last move, and whether all were told of it."""

    pointer: Pointer
    last: LedgerEntry | None
    told: bool

    def unfinished(self, verb: Verb) -> LedgerEntry | None:
        """Return the last move if it was this verb's and a crash kept it from being told: finish it, do not repeat."""
        return None if self.told or self.last is None or self.last.kind != KINDS[verb] else self.last


def move(
    platform: Platform,
    line: Line,
    verb: Verb,
    pointer: Pointer,
    roles: Mapping[Role, int],
    rollout: Rollout | None = None,
    *,
    actor: str,
    body: Mapping[str, JsonValue],
    batch_id: str | None = None,
) -> Pointer:
    """Move a line's pointer under its lease; Stale if somebody else made this move's revision."""
    after = Pointer(line=line.line, revision=pointer.revision + 1, roles=dict(roles), rollout=rollout)
    state = after.model_dump(mode="json", exclude={"line"})
    entry = platform.ledger.append(
        KINDS[verb],
        line.line,
        actor=actor,
        batch_id=batch_id,
        body={**body, **state},
        key=f"moved:{line.line}:{after.revision}",
    )
    failpoint(f"{verb}: after ledger")
    if entry.kind != KINDS[verb] or state_after(entry) != after:
        raise Stale(
            f"{line.line} was {entry.kind.replace('_', ' ')} by {entry.actor} meanwhile.",
            f"Look at `mlops versions {line.line}` and try again.",
        )
    return _moved(platform, entry.kind, pointer, after)


def _moved(platform: Platform, kind: str, pointer: Pointer, after: Pointer) -> Pointer:
    moved = platform.versions.move(pointer.line, pointer, after.roles, after.rollout)
    failpoint(f"{next(verb for verb in KINDS if KINDS[verb] == kind)}: after pointer")
    return moved


def standing(platform: Platform, line: Line) -> Standing:
    """Do what the ledger has and the tables have not, and say where the line stands; under its lease."""
    pointer, last = platform.versions.pointer(line.line), last_move(platform, line)
    after = None if last is None else state_after(last)
    if last is not None and after is not None and after.revision == pointer.revision + 1:
        pointer = _moved(platform, last.kind, pointer, after)
    for entry in platform.ledger.entries(line.line, "retired", newest=1):
        platform.versions.retire(line.line, int(str(entry.body["version"])))
    return Standing(pointer, last, told=is_told(platform, pointer))


def is_told(platform: Platform, pointer: Pointer) -> bool:
    """Say whether the serving pointer says what the table says; one that cannot be read says nothing."""
    try:
        live = platform.serving.live(pointer.line)
    except Corrupt:
        return False
    return live is not None and live.revision == pointer.revision


def last_move(platform: Platform, line: Line) -> LedgerEntry | None:
    """Return the ledger's newest entry that moved a line's pointer."""
    newest = [entry for kind in KINDS.values() for entry in platform.ledger.entries(line.line, kind, newest=1)]
    return max(newest, key=lambda entry: entry.sequence, default=None)


def state_after(entry: LedgerEntry) -> Pointer | None:
    """Return the pointer that an entry's move led to; None for an entry of an earlier release of the platform."""
    if "roles" not in entry.body:
        return None
    state = {name: entry.body[name] for name in ("revision", "roles", "rollout")}
    return Pointer.model_validate({"line": entry.line, **state}, extra="ignore")
