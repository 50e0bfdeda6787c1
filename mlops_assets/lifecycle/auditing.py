"""Does the ledger hold together, and does it bear out the records? Asked on start, by the doctor, and in between.

The ledger says what was decided and released; the records are what is shown and acted on. A record that the ledger
does not know, or knows otherwise, was made or changed behind the platform's back.
"""

from collections.abc import Iterator

from mlops_assets.core.digests import sha256_bytes
from mlops_assets.core.errors import Corrupt
from mlops_assets.core.ports.accountability import LedgerEntry
from mlops_assets.core.ports.mirrors import Alert
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.outcome import DeployedVersion
from mlops_assets.lifecycle.decide.binding import RESTORE, disagreement
from mlops_assets.lifecycle.deployment.publishing import PLATFORM


def report_broken_ledger(platform: Platform) -> list[str]:
    """Return a sentence for every changed or missing entry, and tell the team of each, once.

    The first call of a process reads the whole ledger, later ones what was appended since.
    """
    problems = platform.ledger.verify(whole=False)
    for problem in problems:
        platform.alerts.send(
            Alert(
                key=f"ledger:{sha256_bytes(problem.encode())[:24]}",
                title="The ledger was changed",
                text=f"{problem} {RESTORE}",
                line=PLATFORM,
            )
        )
    return problems


def disagreements(platform: Platform) -> list[str]:
    """Return a sentence for every decision and release whose ledger entry is missing or says something else."""
    try:
        entries = platform.ledger.entries()
    except Corrupt as error:
        return [error.what]
    lines = sorted({entry.line for entry in entries} | {line.line for line in platform.lines()})
    problems: list[str] = []
    for line in lines:
        for found in (_decisions(platform, line, entries), _releases(platform, line, entries)):
            try:
                problems += found
            except Corrupt as error:
                problems.append(error.what)
    return problems


def _decisions(platform: Platform, line: str, entries: list[LedgerEntry]) -> Iterator[str]:
    known = {(entry.kind, entry.body.get("decision")): entry for entry in entries if entry.line == line}
    for batch in platform.batches.list(line):
        for record in platform.records.history(line, batch.batch_id, "decision"):
            if isinstance(record, Decision):
                kind = "decided" if record.review is None else "reviewed"
                problem = disagreement(record, known.get((kind, record.decision_id)))
                if problem is not None:
                    yield problem


def _releases(platform: Platform, line: str, entries: list[LedgerEntry]) -> Iterator[str]:
    released = {entry.body.get("version"): entry for entry in entries if (entry.kind, entry.line) == ("released", line)}
    rows = {version.version: version for version in platform.versions.list(line)}
    for batch in platform.batches.list(line):
        for record in platform.records.history(line, batch.batch_id, "deployed_version"):
            if not isinstance(record, DeployedVersion):
                continue
            what = f"The release of version {record.version} of {line}"
            entry, row = released.get(record.version), rows.get(record.version)
            if entry is not None:
                said = (entry.body.get("servable"), entry.body.get("decision"), entry.batch_id)
                if said != (record.servable, record.decision_id, record.batch_id):
                    yield f"{what} differs from ledger entry {entry.sequence}."
            elif record.status != "PENDING_PUBLISH":  # that one may wait for the Hub and serve nothing yet
                yield f"{what} has no entry in the ledger: nobody made it."
                continue
            if row is None or (row.servable, row.decision_id) != (record.servable, record.decision_id):
                yield f"{what} differs from the table of versions."
    pointer = platform.versions.pointer(line)
    for role, version in pointer.roles.items():
        if version not in rows:
            yield f"{line} has version {version} as its {role}, and there is no such version."
