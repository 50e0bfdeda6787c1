"""What must hold before a line's pointer moves: no rollout under way, whole bytes, a way back."""

from mlops_assets.core.errors import Busy, Corrupt, NotFound, Refused, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer, Version
from mlops_assets.lifecycle.deployment.publishing import owed
from mlops_assets.lifecycle.deployment.serving_history import fallback


def require_idle(line: Line, pointer: Pointer) -> None:
    """Raise Busy while a version is being rolled out: nobody knows yet what the next one would replace."""
    if pointer.rollout is not None:
        raise Busy(
            f"Version {pointer.rollout.version} of {line.line} is being rolled out to {pointer.rollout.share:.0%} of "
            "users.",
            f"`mlops promote {line.line}` or `mlops rollback {line.line}` ends that; then try again.",
        )


def require_unmoved(pointer: Pointer, revision: int | None) -> None:
    """Raise Stale if a line has moved since the revision that a caller decided on."""
    if revision is not None and pointer.revision != revision:
        raise Stale(
            f"{pointer.line} moved from revision {revision} to {pointer.revision} meanwhile.",
            "Look again, and decide anew.",
        )


def require_whole(platform: Platform, line: Line, version: Version) -> None:
    """Raise Corrupt, with the version's name, unless every byte of its servable is there and right."""
    try:
        platform.store.folder(version.servable)
    except (NotFound, Corrupt) as error:
        raise Corrupt(
            f"Version {version.version} of {line.line} is not whole: {error.what}",
            f"{error.todo} Nothing was changed.",
        ) from error


def back_up(platform: Platform, line: Line, pointer: Pointer) -> None:
    """Verify the version that a rollback would serve again before it is replaced (003's auto_backup_before_deploy)."""
    live = pointer.roles.get("production")
    if live is None or not line.release.auto_backup_before_deploy:
        return
    try:
        require_whole(platform, line, platform.versions.get(line.line, live))
    except Corrupt as error:
        raise Corrupt(
            f"There would be nothing to fall back to. {error.what}",
            f"Restore it, `mlops rebaseline {line.line}`, or set `auto_backup_before_deploy: false`.",
        ) from error


def require_deployable(platform: Platform, line: Line, version: Version, pointer: Pointer) -> None:
    """Raise Refused for a version that serves, was retired, or was numbered and never released."""
    what = f"Version {version.version} of {line.line}"
    if version.version == pointer.roles.get("production"):
        raise Refused(f"{what} serves already.", "Name another one.")
    require_not_retired(line, version)
    if not was_released(platform, line, version):
        raise Refused(
            f"{what} was never released.", f"`mlops run {line.line} {version.batch_id}` takes its batch to its end."
        )


def require_not_retired(line: Line, version: Version) -> None:
    """Raise Refused for a version that was retired: its bytes may be gone."""
    if version.retired_at is not None:
        raise Refused(
            f"Version {version.version} of {line.line} was retired at {version.retired_at}.",
            f"`mlops versions {line.line}` lists those that can serve.",
        )


def require_spare(platform: Platform, line: Line, version: Version, pointer: Pointer) -> None:
    """Raise Refused for a version that is in use, is the last good one, or still has to reach production or the Hub."""
    what = f"Version {version.version} of {line.line}"
    if version.version == fallback(platform, line):
        raise Refused(f"{what} is the last good one: a rollback would serve it again.", "Retire another one.")
    if not was_released(platform, line, version) or owed(platform, line, version.version):
        raise Refused(f"{what} is not released to its end.", f"See `mlops versions {line.line}`.")
    held = [role for role, number in pointer.roles.items() if number == version.version]
    if held:
        raise Refused(f"{what} is {', '.join(held)}.", "Give that role to another first.")


def was_released(platform: Platform, line: Line, version: Version) -> bool:
    """Say whether a version has been in the line's pointer: one of a batch is numbered before that."""
    return version.batch_id is None or any(
        entry.body["version"] == version.version for entry in platform.ledger.entries(line.line, "released")
    )


def was_rolled_back(platform: Platform, line: Line, version: int) -> bool:
    """Say whether a version was rolled back from, and has not served since."""
    taken = [e.sequence for e in platform.ledger.entries(line.line, "rolled_back") if e.body["from"] == version]
    given = [e.sequence for e in platform.ledger.entries(line.line, "rolled_back") if e.body["to"] == version]
    for kind in ("deployed", "promoted"):
        given += [e.sequence for e in platform.ledger.entries(line.line, kind) if e.body["version"] == version]
    return bool(taken) and max(taken) > max(given, default=0)


def way_back(platform: Platform, line: Line, pointer: Pointer, to: int | None) -> tuple[int, int]:
    """Return the version that serves, and the verified one to go back to."""
    live = pointer.roles.get("production")
    target = fallback(platform, line) if to is None else to
    if live is None or target is None:
        raise Refused(f"{line.line} has no previous version.", f"`mlops versions {line.line}` lists what there is.")
    version = platform.versions.get(line.line, target)
    if target == live:
        raise Refused(f"{line.line} serves version {live} already.", "Name another one with --to.")
    require_not_retired(line, version)
    require_whole(platform, line, version)
    return live, target
