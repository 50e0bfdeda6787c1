"""Telling everyone which version serves: the serving pointer, the registry, the model card, the Hub."""

from mlops_assets.core.errors import Busy, Corrupt, NotFound, PlatformError
from mlops_assets.core.line import Line
from mlops_assets.core.ports.accountability import LedgerEntry
from mlops_assets.core.ports.mirrors import Alert, Publication
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer, Version
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.outcome import DeployedVersion
from mlops_assets.core.serving import ServedRole
from mlops_assets.lifecycle.deployment.card import model_card
from mlops_assets.lifecycle.deployment.serving_history import fallback
from mlops_assets.lifecycle.failpoints import failpoint

PLATFORM = "platform"
PRODUCTION = "production"
ATTEMPTS = 6


def publish_roles(platform: Platform, line: Line, pointer: Pointer) -> Pointer:
    """Make serving, the registry's aliases and the record of what serves equal to a pointer, and return it."""
    _serve(platform, line, pointer)
    platform.tracker.roles(line.line, pointer)
    _record(platform, line, pointer)
    return pointer


def _serve(platform: Platform, line: Line, pointer: Pointer) -> None:
    """Publish a pointer, under its lease; a newer one than the table's is of tables that a backup has replaced."""
    loaded = arms(platform, line, pointer)
    live = platform.serving.publish(pointer, loaded)
    if live.revision > pointer.revision and platform.versions.pointer(line.line) == pointer:
        platform.serving.publish(pointer, loaded, over_newer=True)


def arms(platform: Platform, line: Line, pointer: Pointer) -> list[tuple[ServedRole, Version, float]]:
    """Return the versions that a gateway keeps loaded, and what part of the users each of them answers.

    Two at most: production, and what is being rolled out; else, unless the line's strategy is `replace`, the last good
    version that production replaced, so that the way back is instant.
    """
    rollout, previous = pointer.rollout, pointer.roles.get("previous")
    share = rollout.share if rollout else 0.0
    wanted: list[tuple[ServedRole, int, float]] = [("production", pointer.roles["production"], 1 - share)]
    if rollout is not None:
        wanted.append(("canary" if rollout.strategy == "canary" else "candidate", rollout.version, share))
    elif previous is not None and _stays_loaded(platform, line, previous):
        wanted.append(("previous", previous, 0.0))
    return [(role, platform.versions.get(pointer.line, number), part) for role, number, part in wanted]


def warm(platform: Platform, line: Line, pointer: Pointer) -> None:
    """Verify in this process what a rollback would publish, so that it need not be read then; the team is told."""
    for version in set(pointer.roles.values()):
        _whole(platform, line, version)


def _stays_loaded(platform: Platform, line: Line, version: int) -> bool:
    """Say whether a replaced version is kept warm: only one that can be fallen back to."""
    if line.release.deployment_strategy == "replace" or version != fallback(platform, line):
        return False
    return _whole(platform, line, version)


def _whole(platform: Platform, line: Line, version: int) -> bool:
    """Say whether a version's servable is whole; the team is told of one that is not."""
    try:
        platform.store.folder(platform.versions.get(line.line, version).servable)
    except (NotFound, Corrupt) as error:
        tell(
            platform,
            line,
            f"There is no falling back to version {version} of {line.line}",
            version,
            error,
        )
        return False
    return True


def _record(platform: Platform, line: Line, pointer: Pointer) -> None:
    """Let the record of a release say SUCCESS once its version has become the one that serves."""
    version = platform.versions.get(line.line, pointer.roles["production"])
    made = version.batch_id and platform.records.get(line.line, version.batch_id, "deployed_version")
    if isinstance(made, DeployedVersion) and (made.version, made.status) == (version.version, "CANARY"):
        platform.records.put("deployed_version", made.model_copy(update={"status": "SUCCESS"}))


def mirror(
    platform: Platform, line: Line, version: Version, decision: Decision | None, pointer: Pointer
) -> tuple[str | None, str]:
    """Publish to registry and serving and store the card; return the registry's version and the card's digest.

    Serving is last: that it knows the pointer's revision says that nothing is left to be told.
    """
    card = model_card(platform, line, version, decision)
    mlflow_version = platform.tracker.release(version, decision, card)
    failpoint("release: after registry")
    platform.tracker.roles(line.line, pointer)
    failpoint("release: after roles")
    _serve(platform, line, pointer)
    failpoint("release: after serving")
    return mlflow_version, platform.store.put_bytes(card.encode())


def published(platform: Platform, line: Line, version: int) -> LedgerEntry | None:
    """Return the ledger's word that the line's repository on the Hub holds a version, None if it does not yet."""
    if line.hub is None:
        return None
    entries = platform.ledger.entries(line.line, "published")
    return next((e for e in entries if (e.body["repo"], e.body["version"]) == (line.hub.repo, version)), None)


def owed(platform: Platform, line: Line, version: int) -> bool:
    """Say whether the Hub still has to be given a version; never for a line without one."""
    return line.hub is not None and published(platform, line, version) is None


def publish(
    platform: Platform, line: Line, version: Version, decision: Decision | None, *, attempts: int = ATTEMPTS
) -> bool:
    """Give a version to the line's repository on the Hub, once; return whether it is there now.

    Never raises for the Hub: what it could not take stays owed, and the team is told once for each kind of trouble.
    """
    if line.hub is None or not owed(platform, line, version.version):
        return True
    try:
        with platform.leases.hold(f"hub:{line.line}", holder=f"version {version.version}", wait_seconds=0):
            publication = Publication(
                line=line.line,
                version=version.version,
                servable=version.servable,
                folder=platform.store.folder(version.servable),
                card=model_card(platform, line, version, decision),
            )
            commit = platform.hub.publish(line.hub, publication, attempts=attempts)
            failpoint("publish: after hub")
            platform.ledger.append(
                "published",
                line.line,
                actor=PLATFORM,
                batch_id=version.batch_id,
                body={
                    "version": version.version,
                    "servable": version.servable,
                    "repo": line.hub.repo,
                    "commit": commit,
                    "tag": publication.tag,
                },
                key=f"published:{line.line}:{line.hub.repo}:{version.version}",
            )
            failpoint("publish: after ledger")
    except Busy:  # another process is at it
        return not owed(platform, line, version.version)
    except PlatformError as error:
        tell(platform, line, f"Version {version.version} is not on the Hub", version.version, error)
        return False
    return True


def tag_hub(platform: Platform, line: Line, pointer: Pointer) -> None:
    """Make the Hub's tag 'production' name the version that serves, once it is there; a ledger entry for each move.

    The tags of versions that somebody removed there are set again.
    """
    entry = published(platform, line, pointer.roles["production"])
    if line.hub is None or entry is None:
        return
    commits = {
        str(each.body["tag"]): str(each.body["commit"])
        for each in platform.ledger.entries(line.line, "published")
        if each.body["repo"] == line.hub.repo
    }
    try:
        platform.hub.tag(line.hub, {**commits, PRODUCTION: str(entry.body["commit"])}, moving=PRODUCTION)
    except PlatformError as error:
        tell(platform, line, "The Hub's tags are not as they should be", pointer.revision, error)
        return
    moves = [each for each in platform.ledger.entries(line.line, "tagged") if each.body["repo"] == line.hub.repo]
    if moves and moves[-1].body["commit"] == entry.body["commit"]:
        return
    platform.ledger.append(
        "tagged",
        line.line,
        actor=PLATFORM,
        body={name: entry.body[name] for name in ("repo", "commit", "version")} | {"tag": PRODUCTION},
        key=f"tagged:{line.line}:{line.hub.repo}:{pointer.revision}",
    )


def tell(platform: Platform, line: Line, title: str, what: int, error: PlatformError) -> None:
    """Tell the team of trouble with following the tables, once for each version or revision and kind of error."""
    platform.alerts.send(
        Alert(
            key=f"publishing:{line.line}:{title}:{what}:{type(error).__name__}",
            title=title,
            text=str(error),
            line=line.line,
        )
    )
