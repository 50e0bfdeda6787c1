"""What happened, in sentences, from the ledger's entries."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from mlops_assets.core.ports import LedgerEntry, Platform
from mlops_assets.core.records import Record

Tone = Literal["", "good", "bad"]
BOOKKEEPING = {"launch", "run", "looked", "opened", "bought", "tagged"}  # what the platform notes for itself
READ_PER_SHOWN = 6  # bookkeeping between two entries that people want to read


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
    entries = platform.ledger.entries(line, newest=most * READ_PER_SHOWN)
    return [told(entry) for entry in reversed(entries) if entry.kind not in BOOKKEEPING][:most]


def told(entry: LedgerEntry) -> Told:
    """Return an entry as a sentence; one of a kind that is not known here is told by its name."""
    say, tone = SAYINGS.get(entry.kind, (None, ""))
    text = say(entry.body, entry) if say else f"{entry.kind.replace('_', ' ')}."
    return Told(
        at=entry.at,
        line=entry.line,
        actor=entry.actor,
        text=f"{text[:1].upper()}{text[1:]}",
        reason=_reason(entry.body),
        tone=_tone(entry) or tone,
        sequence=entry.sequence,
    )


Say = Callable[[Mapping[str, Any], LedgerEntry], str]


def _version(body: Mapping[str, Any], *names: str) -> str:
    number = next((body[name] for name in names if body.get(name) is not None), None)
    return "the version" if number is None else f"version {number}"


def _share(body: Mapping[str, Any]) -> str:
    share = body.get("share")
    return f" to {100 * share:g} % of users" if isinstance(share, int | float) else ""


def _validated(body: Mapping[str, Any], entry: LedgerEntry) -> str:
    dropped = sum((body.get("dropped") or {}).values())
    lost = f", {dropped} dropped" if dropped else ""
    if body.get("accepted"):
        return f"batch {entry.batch_id} was checked: {body.get('kept')} items kept{lost}."
    return f"batch {entry.batch_id} cannot be used ({', '.join(body.get('reasons') or ())})."


def _submitted(body: Mapping[str, Any], entry: LedgerEntry) -> str:
    return f"{entry.actor} submitted {body.get('filename')} as batch {entry.batch_id}."


def _decided(body: Mapping[str, Any], entry: LedgerEntry) -> str:
    return f"batch {entry.batch_id} was judged: {_verdict(body)}."


def _reviewed(body: Mapping[str, Any], entry: LedgerEntry) -> str:
    word = "approved" if body.get("verdict") == "APPROVE" else "rejected"
    return f"{entry.actor} {word} batch {entry.batch_id}."


def _rolled_back(body: Mapping[str, Any], entry: LedgerEntry) -> str:
    return f"{entry.actor} rolled back from version {body.get('from')} to version {body.get('to')}."


def _verdict(body: Mapping[str, Any]) -> str:
    verdict = str(body.get("verdict", ""))
    return {"HUMAN_REVIEW": "a person is asked"}.get(verdict, verdict)


SAYINGS: dict[str, tuple[Say, Tone]] = {
    "submitted": (_submitted, ""),
    "refused": (lambda body, entry: f"the upload {body.get('filename')} was refused.", "bad"),
    "validated": (_validated, ""),
    "trained": (lambda body, entry: f"a candidate was trained on batch {entry.batch_id}.", ""),
    "decided": (_decided, ""),
    "reviewed": (_reviewed, ""),
    "expired": (lambda body, entry: f"nobody answered about batch {entry.batch_id}: it is rejected.", "bad"),
    "reminded": (lambda body, entry: f"people were reminded of batch {entry.batch_id}.", ""),
    "quarantined": (lambda body, entry: f"batch {entry.batch_id} was set aside ({body.get('code')}).", "bad"),
    "quarantine_released": (
        lambda body, entry: f"{entry.actor} admitted batch {entry.batch_id} again, as {body.get('new_batch')}.",
        "",
    ),
    "quarantine_discarded": (lambda body, entry: f"{entry.actor} discarded batch {entry.batch_id}.", ""),
    "bootstrapped": (lambda body, entry: f"{_version(body, 'version')}, the base model, began to serve.", ""),
    "rebaselined": (
        lambda body, entry: f"{entry.actor} replaced version {body.get('replaced')} by version {body.get('version')}.",
        "",
    ),
    "released": (lambda body, entry: f"{_version(body, 'version')} was released from batch {entry.batch_id}.", "good"),
    "published": (lambda body, entry: f"{_version(body, 'version')} was published to {body.get('repo')}.", ""),
    "rolled_back": (_rolled_back, "bad"),
    "rollout_began": (
        lambda body, entry: f"{_version(body, 'version')} began to roll out{_share(body)}.",
        "",
    ),
}


def _tone(entry: LedgerEntry) -> Tone:
    if entry.kind in ("decided", "reviewed"):
        return {"APPROVE": "good", "REJECT": "bad"}.get(str(entry.body.get("verdict")), "")  # pyright: ignore[reportReturnType]
    return "bad" if entry.kind == "validated" and not entry.body.get("accepted") else ""


def _reason(body: Mapping[str, Any]) -> str:
    reasons = body.get("reasons")
    if isinstance(body.get("reason"), str):
        return body["reason"]
    return str(reasons[0]) if isinstance(reasons, Sequence) and not isinstance(reasons, str) and reasons else ""
