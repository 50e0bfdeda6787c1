"""What happened, in sentences, from the ledger's entries."""

from collections.abc import Mapping
from typing import Any, Literal

from mlops_assets.core.ports.accountability import LedgerEntry
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Record
from mlops_assets.lifecycle.pages import percent

Tone = Literal["", "good", "bad"]
READ_AT_ONCE = 4  # entries for each that is shown; more only if most of them are bookkeeping
BOOKKEEPING = {"launch", "run", "looked", "opened", "bought", "tagged", "gathering", "key_issued", "key_revoked"}
# What each kind says of its entry's fields, `actor`, `batch` and `share`; what a person is glad or sorry to read.
SAYINGS: dict[str, tuple[str, Tone]] = {
    "submitted": ("{actor} submitted {filename} as batch {batch}.", ""),
    "refused": ("The upload {filename} was refused.", "bad"),
    "gathered": ("Batch {batch} was made of {examples} examples that users gave.", ""),
    "trained": ("A candidate was trained on batch {batch}.", ""),
    "expired": ("Nobody answered about batch {batch}: it is rejected.", "bad"),
    "reminded": ("People were reminded of batch {batch}.", ""),
    "quarantined": ("Batch {batch} was set aside ({code}).", "bad"),
    "quarantine_released": ("{actor} admitted batch {batch} again, as {new_batch}.", ""),
    "quarantine_discarded": ("{actor} discarded batch {batch}.", ""),
    "bootstrapped": ("Version {version}, the base model, began to serve.", ""),
    "rebaselined": ("{actor} replaced version {replaced} by version {version}.", ""),
    "released": ("Version {version} was released from batch {batch}{share}.", "good"),
    "deployed": ("{actor} deployed version {version}{share}.", "good"),
    "advanced": ("{actor} gave version {version} more users{share}.", ""),
    "held": ("{actor} held the rollout of version {version}{share}.", "bad"),
    "promoted": ("{actor} gave version {version} all users.", "good"),
    "rolled_back": ("{actor} rolled back from version {from} to version {to}.", "bad"),
    "alarmed": ("Version {version} fails.", "bad"),
    "retired": ("{actor} retired version {version}.", ""),
    "deleted": ("The bytes of version {version} were deleted.", ""),
    "published": ("Version {version} was published to {repo}.", ""),
}


class Told(Record):
    """One thing that happened."""

    at: str
    line: str
    actor: str
    text: str
    reason: str = ""
    tone: Tone = ""
    sequence: int


def latest(platform: Platform, most: int, line: str | None = None) -> list[Told]:
    """Return what happened last, of one line or of all, the newest first."""
    read, wanted = 0, most * READ_AT_ONCE
    found: list[LedgerEntry] = []
    while len(found) < most and read < wanted:
        entries = platform.ledger.entries(line, newest=wanted)
        found = [entry for entry in reversed(entries) if entry.kind not in BOOKKEEPING]
        read, wanted = wanted, wanted * 4 if len(entries) == wanted else wanted
    return [told(entry) for entry in found[:most]]


def told(entry: LedgerEntry) -> Told:
    """Return an entry as a sentence; one of a kind that is not known here is told by its name."""
    text, tone = _said(entry)
    return Told(
        at=entry.at,
        line=entry.line,
        actor=entry.actor,
        text=text,
        reason=_reason(entry.body),
        tone=tone,
        sequence=entry.sequence,
    )


class _Fields(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "–"


def _said(entry: LedgerEntry) -> tuple[str, Tone]:
    body = entry.body
    verdict = str(body.get("verdict"))
    judged: Tone = {"APPROVE": "good", "REJECT": "bad"}.get(verdict, "")  # pyright: ignore[reportAssignmentType]
    match entry.kind:
        case "validated" if body.get("accepted"):
            return f"Batch {entry.batch_id} was checked: {body.get('kept')} items kept{_dropped(body)}.", ""
        case "validated":
            return f"Batch {entry.batch_id} cannot be used.", "bad"
        case "decided":
            said = {"HUMAN_REVIEW": "a person is asked"}.get(verdict, verdict)
            return f"Batch {entry.batch_id} was judged: {said}.", judged
        case "reviewed":
            return f"{entry.actor} {'approved' if judged == 'good' else 'rejected'} batch {entry.batch_id}.", judged
    form, tone = SAYINGS.get(entry.kind, (f"{entry.kind.replace('_', ' ').capitalize()}, by {{actor}}.", ""))
    fields = _Fields(body) | {"actor": entry.actor, "batch": entry.batch_id, "share": _share(body)}
    return form.format_map(_Fields(fields)), tone


def _share(body: Mapping[str, Any]) -> str:
    """Say to how many users it goes, while a version is being rolled out."""
    rollout = body.get("rollout")
    return f", to {percent(rollout['share'])} of users" if isinstance(rollout, dict) and "share" in rollout else ""


def _dropped(body: Mapping[str, Any]) -> str:
    dropped = sum((body.get("dropped") or {}).values())
    return f", {dropped} dropped" if dropped else ""


def _reason(body: Mapping[str, Any]) -> str:
    """Return why it happened, in whatever field its kind keeps that."""
    said = body.get("reason") or body.get("why") or body.get("reasons") or ""
    return str(said[0] if isinstance(said, list) else said)
