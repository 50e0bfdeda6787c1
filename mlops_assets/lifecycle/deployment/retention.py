"""Which versions stay: those in use, the last good one, and the latest few; the bytes of all others go.

The artifact store is shared and content-addressed: two versions, lines, base models and candidates may have bytes in
common. So a folder goes only if nothing but retired versions names it as a model, and a file of it only if no other
stored folder holds it and no record names it.
"""

import re
import uuid
from contextlib import ExitStack
from dataclasses import dataclass

from mlops_assets.core.errors import Busy, PlatformError, Refused
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.chain import ASSETS
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle.deployment.guarding import require_spare
from mlops_assets.lifecycle.deployment.publishing import PLATFORM, tell
from mlops_assets.lifecycle.deployment.rollout import retire
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import ended, hold, hold_deletion
from mlops_assets.lifecycle.training.base import base_models

DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True)
class Retained:
    """What one round did: versions retired, and bytes deleted."""

    retired: int
    freed: int


def retention(platform: Platform) -> Retained:
    """Retire what no line's policy keeps, and delete what only retired versions needed; idempotent."""
    retired = sum(_retire_spare(platform, line) for line in platform.lines())
    return Retained(retired, delete_retired(platform))


def spare(platform: Platform, line: Line) -> list[int]:
    """Return the versions that the line's policy does not keep, oldest first.

    It keeps those with a role, in a rollout, the last good one, those that still have to reach production or the Hub,
    and of all others the latest `keep_previous_versions`.
    """
    pointer = platform.versions.pointer(line.line)
    others = []
    for version in platform.versions.list(line.line):
        try:
            require_spare(platform, line, version, pointer)
        except Refused:
            continue
        if version.retired_at is None:
            others.append(version.version)
    return others[: -line.release.keep_previous_versions]


def delete_retired(platform: Platform) -> int:
    """Delete the bytes that only retired versions needed; return how many. Nothing is done while a line is at work.

    Whoever trains, exports or makes a base model holds its line, so nobody stores such bytes meanwhile; whoever
    receives or checks a batch waits for the deletion to end (`keep_stored`).
    """
    if not any(_undeleted(platform, line) for line in platform.lines()):
        return 0
    holder = f"retention ({uuid.uuid4().hex[:8]})"
    try:
        with ExitStack() as lines:
            for line in sorted(platform.lines(), key=lambda line: line.line):
                lines.enter_context(hold(platform, line, holder, wait_seconds=0))
            lines.enter_context(hold_deletion(platform, holder, wait_seconds=0))
            return _delete(platform)
    except Busy:
        return 0


def _retire_spare(platform: Platform, line: Line) -> int:
    retired = 0
    for version in spare(platform, line):
        why = f"Not in use, and not among the latest {line.release.keep_previous_versions} others"
        try:
            retire(platform, line, version, actor=PLATFORM, reason=why)
        except (Busy, Refused):  # somebody moves the line at this moment: the next round looks again
            break
        retired += 1
    return retired


def _undeleted(platform: Platform, line: Line) -> list[Version]:
    """Return the retired versions that the ledger does not call deleted."""
    retired = [each for each in platform.versions.list(line.line) if each.retired_at is not None]
    if not retired:
        return []
    deleted = [entry.body["version"] for entry in platform.ledger.entries(line.line, "deleted")]
    return [each for each in retired if each.version not in deleted]


def _delete(platform: Platform) -> int:
    owned, used, named = _needs(platform)
    freed = 0
    for line in platform.lines():
        for version in _undeleted(platform, line):
            folders = _folders(platform, version)
            try:
                removed = platform.store.remove(folders - owned - used, keep=(named - folders) | owned | used)
            except PlatformError as error:
                tell(platform, line, f"The bytes of version {version.version} stay", version.version, error)
                continue
            failpoint("delete: after bytes")
            freed += removed
            if not folders & (used - owned):  # what another version owns goes with that one; what is in use, later
                platform.ledger.append(
                    "deleted",
                    line.line,
                    actor=PLATFORM,
                    batch_id=version.batch_id,
                    body={"version": version.version, "folders": [*sorted(folders - owned)], "bytes": removed},
                    key=f"deleted:{line.line}:{version.version}",
                )
    return freed


def _folders(platform: Platform, version: Version) -> set[str]:
    """Return the folders that were made for a version alone: its model, its servable, and what was judged beside it."""
    folders = {version.servable, version.model}
    for made in _candidates(platform, version.line, version.batch_id) if version.batch_id else ():
        if made.servable == version.servable:
            folders |= set(made.companions.values())
    return folders


def _needs(platform: Platform) -> tuple[set[str], set[str], set[str]]:
    """Return the folders that versions, candidates, base models and data own, those in use, and all that records name.

    Lines that are no longer declared count too: somebody may declare them again.
    """
    owned, used, named = set[str](), set[str](), set[str]()
    for made in base_models(platform):
        owned |= {made.model, made.servable}
    declared = {line.line: line for line in platform.lines()}
    for name in {entry.line for entry in platform.ledger.entries()} | set(declared):
        versions = platform.versions.list(name)
        gone = {each.servable for each in versions if each.retired_at is not None} if name in declared else set[str]()
        for version in versions:
            if version.retired_at is None or name not in declared:
                owned |= _folders(platform, version)
        for batch in platform.batches.list(name):
            for made in _candidates(platform, name, batch.batch_id):
                if made.servable not in gone:
                    owned |= {made.model, made.servable, *made.companions.values()}
            digests = _named(platform, name, batch.batch_id)
            owned |= {batch.sha256} | digests["raw_batch"] | digests["validated_data"]
            named = named.union(*digests.values())
            if name in declared and not ended(platform, declared[name], batch.batch_id):
                used = used.union(*digests.values())
    return owned, used, named


def _candidates(platform: Platform, line: str, batch_id: str) -> list[CandidateModel]:
    made = platform.records.history(line, batch_id, "candidate_model")
    return [each for each in made if isinstance(each, CandidateModel)]


def _named(platform: Platform, line: str, batch_id: str) -> dict[str, set[str]]:
    """Return the digests that the record of each asset of a batch names."""
    made = {asset: platform.records.get(line, batch_id, asset) for asset in ASSETS}
    return {asset: set(DIGEST.findall(record.canonical_json()) if record else ()) for asset, record in made.items()}
