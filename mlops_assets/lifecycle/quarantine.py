"""Quarantine: a batch that is unusable, rejected or broken is set aside whole; nothing is lost.

Two ways out: `readmit` gives its data a second life as a new batch that names the old one, `discard` closes it.
"""

import shutil
import uuid
from pathlib import Path

from mlops_assets.core.digests import canonical_json
from mlops_assets.core.errors import NotFound, Refused
from mlops_assets.core.line import Line
from mlops_assets.core.ports.mirrors import Alert
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import RawBatch
from mlops_assets.core.records.outcome import DeploymentStatus, Quarantined
from mlops_assets.lifecycle.bundle import write_bundle
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.intake.archive import unpack
from mlops_assets.lifecycle.intake.ingest import ingest, stored_copy

PLATFORM = "platform"
RELEASE_NOTE = "release.json"


def quarantine(
    platform: Platform,
    line: Line,
    batch_id: str,
    *,
    reason_code: str,
    reason: str,
    deployment_status: DeploymentStatus,
    logs: Path | None,
) -> Quarantined:
    """Set a batch aside: bundle, ledger, record, and one alert per incident. A batch that is held stays as it is."""
    known = platform.records.get(line.line, batch_id, "quarantine")
    if isinstance(known, Quarantined):
        _alert(platform, known)
        return known
    path = write_bundle(platform, line, batch_id, reason_code=reason_code, reason=reason, logs=logs)
    failpoint("quarantine: after bundle")
    entry = platform.ledger.append(
        "quarantined",
        line.line,
        actor=PLATFORM,
        batch_id=batch_id,
        body={"code": reason_code, "reason": reason, "status": deployment_status},
        key=f"quarantined:{line.line}:{batch_id}:{reason_code}",
    )
    failpoint("quarantine: after ledger")
    record = Quarantined(
        line=line.line,
        batch_id=batch_id,
        parents=_parents(platform, line, batch_id),
        reason_code=reason_code,
        reason=reason,
        status="held",
        deployment_status=deployment_status,
        path=path.relative_to(platform.home).as_posix(),
        alert=f"quarantine:{line.line}:{batch_id}:{reason_code}",
        quarantined_at=entry.at,
    )
    platform.records.put("quarantine", record)
    failpoint("quarantine: after record")
    _alert(platform, record)
    return record


def readmit(platform: Platform, line: Line, batch_id: str, actor: str, reason: str) -> RawBatch:
    """Admit a held batch again, as a new batch whose source is 'release:<batch>'; return the new one.

    The bytes differ from the old batch's by a note that says who released them and why, so they are claimed anew.
    Refused for a batch that was discarded; NotFound for one that is not in quarantine.
    """
    held = _held(platform, line, batch_id)
    old = platform.records.get(line.line, batch_id, "raw_batch")
    if not isinstance(old, RawBatch):
        raise NotFound(f"The submission of batch {batch_id} of {line.line} was never stored.", "Submit it again.")
    if held.status == "discarded":
        raise Refused(f"Batch {batch_id} of {line.line} was discarded.", "Submit its data again.")
    folder = platform.home / "runs" / line.line / f"readmit-{uuid.uuid4().hex[:12]}"
    try:
        _lay_out(platform, old, folder / batch_id, actor=actor, reason=reason)
        new, _ = ingest(platform, line, folder / batch_id, contributor=old.contributor, source=f"release:{batch_id}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _close(platform, held, "released", actor, reason, {"new_batch": new.batch_id})
    return new


def discard(platform: Platform, line: Line, batch_id: str, actor: str, reason: str) -> Quarantined:
    """Close a held batch: its bundle is removed, its records and ledger entries stay.

    Refused for a batch that was released again; NotFound for one that is not in quarantine.
    """
    held = _held(platform, line, batch_id)
    if held.status == "released":
        raise Refused(f"Batch {batch_id} of {line.line} was admitted again.", "Its new batch has a life of its own.")
    closed = _close(platform, held, "discarded", actor, reason, {})
    path = platform.home / held.path
    if path.exists():
        shutil.rmtree(path)
    return closed


def _lay_out(platform: Platform, old: RawBatch, target: Path, *, actor: str, reason: str) -> None:
    """Write the old submission, unpacked, as a folder with a release note in it; Refused for a hostile archive."""
    unpacked = unpack(stored_copy(platform, old), target, filename=old.filename)
    if unpacked.refused:
        why = "; ".join(f"{each.code} {each.title}" for each in unpacked.findings)
        raise Refused(f"Batch {old.batch_id} of {old.line} cannot be unpacked safely: {why}.", "Submit its data anew.")
    note = {"released_from": old.batch_id, "sha256": old.sha256, "by": actor, "reason": reason}
    (target / RELEASE_NOTE).write_text(canonical_json(note), encoding="utf-8")


def _held(platform: Platform, line: Line, batch_id: str) -> Quarantined:
    record = platform.records.get(line.line, batch_id, "quarantine")
    if not isinstance(record, Quarantined):
        raise NotFound(
            f"Batch {batch_id} of {line.line} is not in quarantine.", f"See `mlops quarantine list {line.line}`."
        )
    return record


def _close(
    platform: Platform, held: Quarantined, status: str, actor: str, reason: str, more: dict[str, str]
) -> Quarantined:
    platform.ledger.append(
        f"quarantine_{status}",
        held.line,
        actor=actor,
        batch_id=held.batch_id,
        body={"code": held.reason_code, "reason": reason, **more},
        key=f"quarantine_{status}:{held.line}:{held.batch_id}",
    )
    closed = held.model_copy(update={"status": status})
    platform.records.put("quarantine", closed)
    return closed


def _alert(platform: Platform, record: Quarantined) -> None:
    platform.alerts.send(
        Alert(
            key=record.alert,
            title=f"{record.line}: batch {record.batch_id} is in quarantine ({record.reason_code})",
            text=f"{record.reason}\n{record.line} serves what it served before. Everything about the batch is in "
            f"{record.path}; its README.txt says what to do.",
            line=record.line,
        )
    )


def _parents(platform: Platform, line: Line, batch_id: str) -> dict[str, str]:
    made = {
        asset: platform.records.get(line.line, batch_id, asset) for asset in ("decision", "validated_data", "raw_batch")
    }
    return {asset: record.digest for asset, record in made.items() if record is not None}
