"""What served when, at which share, why, from which batch and by whom: computed from the ledger alone."""

from collections.abc import Iterable
from datetime import datetime

from pydantic import JsonValue

from mlops_assets.core.line import Line
from mlops_assets.core.ports.accountability import LedgerEntry
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer
from mlops_assets.core.records.base import Record
from mlops_assets.core.serving import ServedRole
from mlops_assets.lifecycle.deployment.moving import KINDS, state_after

ORIGINS = ("bootstrapped", "released", "rebaselined")


class ServedArm(Record):
    """One version that answered a part of the users, and where it came from."""

    role: ServedRole
    version: int
    share: float
    servable: str | None = None
    batch_id: str | None = None
    decision: str | None = None
    reasons: tuple[str, ...] = ()
    released_by: str | None = None
    released_at: str | None = None


class Served(Record):
    """What a line served from one move of its pointer to the next: which arms, and who moved it, when and why."""

    line: str
    at: str
    until: str | None
    revision: int
    event: str
    actor: str
    reason: str
    arms: tuple[ServedArm, ...]
    ledger_sequence: int

    @property
    def production(self) -> int:
        """The version that answered whoever was not on a rollout."""
        return self.arms[0].version


def history(platform: Platform, line: Line) -> list[Served]:
    """Return everything that a line has served, oldest first."""
    return replay(platform.ledger.entries(line.line))


def served_at(platform: Platform, line: Line, time: datetime) -> Served | None:
    """Return what a line served at a time (aware), None for a time before its first version."""
    began = [each for each in history(platform, line) if datetime.fromisoformat(each.at) <= time]
    return began[-1] if began else None


def fallback(platform: Platform, line: Line) -> int | None:
    """Return the last good version before the one in production: what a rollback goes back to.

    That is the latest which served all users and was neither rolled back from nor replaced because nobody could
    evaluate it; what was retired cannot serve again.
    """
    retired = {each.version for each in platform.versions.list(line.line) if each.retired_at is not None}
    good = [version for version in good_versions(history(platform, line)) if version not in retired]
    live = platform.versions.pointer(line.line).roles.get("production")
    return next((version for version in reversed(good) if version != live), None)


def good_versions(served: Iterable[Served]) -> list[int]:
    """Return the versions that served all users and were not taken back, in the order in which a rollback meets them.

    A rollback to a version takes back everything that came after it.
    """
    good: list[int] = []
    for each in served:
        version = each.production
        if good and good[-1] == version:
            continue
        if each.event == "rolled_back":
            good = good[: good.index(version)] if version in good else good[:-1]
        elif each.event == "rebaselined":
            good = good[:-1]
        good = [*(known for known in good if known != version), version]
    return good


def replay(entries: Iterable[LedgerEntry]) -> list[Served]:
    """Return what a line's entries say that it served, oldest first; entries that moved nothing are passed over."""
    served: list[Served] = []
    origins: dict[int, LedgerEntry] = {}
    for entry in entries:
        if entry.kind not in KINDS.values():
            continue
        pointer = _after(entry, served[-1].revision if served else 0)
        if entry.kind in ORIGINS:
            origins[int(str(entry.body["version"]))] = entry
        if served:
            served[-1] = served[-1].model_copy(update={"until": entry.at})
        served.append(
            Served(
                line=entry.line,
                at=entry.at,
                until=None,
                revision=pointer.revision,
                event=entry.kind,
                actor=entry.actor,
                reason=_reason(entry.body),
                arms=_arms(pointer, origins),
                ledger_sequence=entry.sequence,
            )
        )
    return served


def _after(entry: LedgerEntry, revision: int) -> Pointer:
    """Return the pointer after a move; entries of earlier releases name the version alone, which all users got."""
    after = state_after(entry)
    if after is not None:
        return after
    version = int(str(entry.body["to" if entry.kind == "rolled_back" else "version"]))
    return Pointer(line=entry.line, revision=revision + 1, roles={"production": version})


def _arms(pointer: Pointer, origins: dict[int, LedgerEntry]) -> tuple[ServedArm, ...]:
    rollout = pointer.rollout
    arms: list[tuple[ServedRole, int, float]] = [
        ("production", pointer.roles["production"], 1 - rollout.share if rollout else 1)
    ]
    if rollout is not None:
        arms.append(("canary" if rollout.strategy == "canary" else "candidate", rollout.version, rollout.share))
    return tuple(_arm(role, version, share, origins.get(version)) for role, version, share in arms)


def _arm(role: ServedRole, version: int, share: float, origin: LedgerEntry | None) -> ServedArm:
    if origin is None:
        return ServedArm(role=role, version=version, share=share)
    reasons = origin.body.get("reasons") or [_reason(origin.body)]
    return ServedArm(
        role=role,
        version=version,
        share=share,
        servable=_text(origin.body.get("servable")),
        batch_id=origin.batch_id,
        decision=_text(origin.body.get("decision")),
        reasons=tuple(str(reason) for reason in reasons if reason) if isinstance(reasons, list) else (),
        released_by=origin.actor,
        released_at=origin.at,
    )


def _reason(body: dict[str, JsonValue]) -> str:
    reasons = body.get("reasons")
    said = body.get("reason") or body.get("why") or (" ".join(map(str, reasons)) if isinstance(reasons, list) else "")
    return str(said)


def _text(value: JsonValue) -> str | None:
    return None if value is None else str(value)
