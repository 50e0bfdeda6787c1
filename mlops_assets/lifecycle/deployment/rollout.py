"""How a version reaches users and is taken back: one state machine per line, moved by one writer at a time.

    state               kept in                                            left by
    idle                no `rollout`                                       release, deploy, rollback, rebaseline
    canary at step i    `rollout`: strategy canary, share = steps[i]       advance, promote, rollback, hold
    green loaded        `rollout`: strategy blue_green, share 0            promote, rollback, hold
    held                `rollout` whose `held` says why                    advance, promote, rollback

    idle ---- release | deploy ---- replace -----------------> idle      production := the version, previous := the old
    idle ---- release | deploy ---- canary ------------------> canary 0
    idle ---- release | deploy ---- blue_green --------------> green loaded
    canary i ------- advance --------------------------------> canary i+1
    canary, green -- hold -----------------------------------> held      share stays as it is
    held ----------- advance --------------------------------> canary i+1
    canary, green, held -- promote --------------------------> idle      production := the version, previous := the old
    canary, green, held -- rollback -------------------------> idle      production untouched, 0 % at once
    idle ---- rollback --------------------------------------> idle      production := the last good version

The state is the line's `Pointer`; every arrow is one ledger entry and one compare-and-set under the pointer's lease
(`moving`), and the same call finishes what a crash cut off. Batches release; persons deploy, advance, promote, roll
back and retire; the judge of a canary (`watching`) advances, promotes, holds and rolls back; `settle` promotes a green
version that every gateway has loaded, and takes back one that a gateway cannot load.
"""

from typing import Literal

from pydantic import JsonValue

from mlops_assets.core.clock import utc_text
from mlops_assets.core.errors import Refused, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports.accountability import LedgerEntry
from mlops_assets.core.ports.mirrors import Alert
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer, Version
from mlops_assets.core.serving import Rollout, Strategy
from mlops_assets.lifecycle.deployment import gateways
from mlops_assets.lifecycle.deployment.beginning import ROLES, begin, replaced
from mlops_assets.lifecycle.deployment.guarding import (
    back_up,
    require_deployable,
    require_idle,
    require_spare,
    require_unmoved,
    require_whole,
    way_back,
)
from mlops_assets.lifecycle.deployment.moving import move, standing
from mlops_assets.lifecycle.deployment.publishing import PLATFORM, publish_roles, warm
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import hold_pointer


def deploy(
    platform: Platform, line: Line, version: int, *, strategy: Strategy | None = None, actor: str, reason: str
) -> Pointer:
    """Let an existing version serve, by the line's strategy or the given one; by `replace` if nothing serves yet.

    NotFound for a version there is not; Refused for one that serves, was retired or was never released; Busy while
    another is being rolled out; Corrupt if it, or the version to fall back to, is not whole.
    """
    with hold_pointer(platform, line, f"deploy by {actor}"):
        now = standing(platform, line)
        begun = now.unfinished("deploy")
        if begun is not None and begun.body["version"] == version:
            return publish_roles(platform, line, now.pointer)
        require_idle(line, now.pointer)
        chosen = platform.versions.get(line.line, version)
        require_deployable(platform, line, chosen, now.pointer)
        roles, rollout = begin(platform, line, now.pointer, chosen, strategy or line.release.deployment_strategy)
        body = {
            "version": version,
            "previous": now.pointer.roles.get("production"),
            "servable": chosen.servable,
            "decision": chosen.decision_id,
            "strategy": rollout.strategy if rollout else "replace",
            "reason": reason,
        }
        moved = move(
            platform, line, "deploy", now.pointer, roles, rollout, actor=actor, body=body, batch_id=chosen.batch_id
        )
        publish_roles(platform, line, moved)
    return settle(platform, line)


def advance(platform: Platform, line: Line, *, actor: str, reason: str, revision: int | None = None) -> Pointer:
    """Give a canary its next share of users, also one that is held; Refused at its last step, or without a canary.

    Stale, here and below, if the caller names the revision they decided on and the line has moved since.
    """
    with hold_pointer(platform, line, f"advance by {actor}"):
        now = standing(platform, line)
        if now.unfinished("advance"):
            return publish_roles(platform, line, now.pointer)
        require_unmoved(now.pointer, revision)
        rollout = _under_way(line, now.pointer)
        step, steps = rollout.step + 1, line.release.steps
        if rollout.strategy != "canary" or step >= len(steps):
            raise Refused(
                f"Version {rollout.version} of {line.line} has no further step; {rollout.share:.0%} of users have it.",
                f"`mlops promote {line.line}` gives it all of them, `mlops rollback {line.line}` none.",
            )
        # A step counts upwards only: shares of a line's YAML that was changed meanwhile never take users away.
        share = max(steps[step], rollout.share)
        at = utc_text(platform.clock())
        further = rollout.model_copy(update={"step": step, "share": share, "stepped_at": at, "held": ""})
        return _step(platform, line, "advance", now.pointer, further, actor, {"reason": reason})


def promote(platform: Platform, line: Line, *, actor: str, reason: str, revision: int | None = None) -> Pointer:
    """Make the version that is being rolled out the one that serves all users; again, right after, changes nothing.

    Refused if none is; Corrupt if it, or the version it replaces, is not whole.
    """
    with hold_pointer(platform, line, f"promote by {actor}"):
        now = standing(platform, line)
        if now.pointer.rollout is None and now.last is not None and now.last.kind == "promoted":
            return publish_roles(platform, line, now.pointer)
        require_unmoved(now.pointer, revision)
        rollout = _under_way(line, now.pointer)
        version = platform.versions.get(line.line, rollout.version)
        require_whole(platform, line, version)
        back_up(platform, line, now.pointer)
        moved = move(
            platform,
            line,
            "promote",
            now.pointer,
            replaced(now.pointer, rollout.version),
            actor=actor,
            body={
                "version": rollout.version,
                "previous": rollout.against,
                "strategy": rollout.strategy,
                "decision": version.decision_id,
                "reason": reason,
            },
            batch_id=version.batch_id,
        )
        return publish_roles(platform, line, moved)


def hold(platform: Platform, line: Line, *, why: str, actor: str = PLATFORM, revision: int | None = None) -> Pointer:
    """Let a rollout stand still for a person, who is told once; one that is held stays as it is.

    Refused if nothing is being rolled out.
    """
    with hold_pointer(platform, line, f"hold by {actor}"):
        now = standing(platform, line)
        rollout, pointer = _under_way(line, now.pointer), now.pointer
        if not rollout.held:
            require_unmoved(pointer, revision)
            rollout = rollout.model_copy(update={"held": why})
            pointer = _step(platform, line, "hold", pointer, rollout, actor, {"why": why})
        platform.alerts.send(
            Alert(
                key=f"held:{line.line}:{pointer.revision}",
                title=f"{line.line}: the rollout of version {rollout.version} stands still at {rollout.share:.0%}",
                text=f"{rollout.held} A person decides: `mlops promote {line.line} --reason TEXT`, "
                f"`mlops advance {line.line} --reason TEXT` or `mlops rollback {line.line} --reason TEXT`.",
                line=line.line,
            )
        )
        return publish_roles(platform, line, pointer)


def rollback(
    platform: Platform, line: Line, *, to: int | None, reason: str, actor: str, revision: int | None = None
) -> Pointer:
    """Take a rollout back, else serve the last good version, or a named one, again; the reason goes into the ledger.

    A rollout goes to 0 % of users at once and production is not touched. Without `to`, Refused if there is nothing to
    fall back to, or right after another rollback (two people mean one), but for who names the revision at which they
    saw a rollout taken back. NotFound, Refused (serves, retired) or Corrupt for a version that cannot serve.
    """
    with hold_pointer(platform, line, f"rollback by {actor}"):
        now = standing(platform, line)
        begun = now.unfinished("rollback")
        if begun is not None and to in (None, begun.body["to"]):
            return publish_roles(platform, line, now.pointer)
        require_unmoved(now.pointer, revision)
        pointer, rollout = now.pointer, now.pointer.rollout
        if rollout is not None:
            if to not in (None, rollout.against):
                raise Refused(
                    f"Version {rollout.version} of {line.line} is being rolled out.",
                    f"`mlops rollback {line.line}` without --to takes that back first.",
                )
            leaves, target = rollout.version, rollout.against
            roles = pointer.roles.copy()
            del roles[ROLES[rollout.strategy]]
        else:
            if to is None and now.last is not None and _clicked_twice(now.last, revision):
                raise Refused(
                    f"{line.line} has just been rolled back to version {now.last.body['to']} by {now.last.actor}.",
                    f"To go further back, name a version: `mlops rollback {line.line} --to VERSION`.",
                )
            leaves, target = way_back(platform, line, pointer, to)
            roles = replaced(pointer, target)
        moved = move(
            platform,
            line,
            "rollback",
            pointer,
            roles,
            actor=actor,
            body={"from": leaves, "to": target, "reason": reason, "of": "rollout" if rollout else "production"},
            batch_id=platform.versions.get(line.line, leaves).batch_id,
        )
        return publish_roles(platform, line, moved)


def _clicked_twice(last: LedgerEntry, revision: int | None) -> bool:
    """Say whether a rollback may mean the one that was just made."""
    return last.kind == "rolled_back" and (revision is None or last.body.get("of") != "rollout")


def retire(platform: Platform, line: Line, version: int, *, actor: str, reason: str) -> Version:
    """Let a version never serve again, so that its bytes may go; again, it changes nothing.

    Refused for one that has a role, that a rollback would go back to, or that was not released to its end yet.
    """
    with hold_pointer(platform, line, f"retire by {actor}"):
        now = standing(platform, line)
        chosen = platform.versions.get(line.line, version)
        if chosen.retired_at is None:
            require_spare(platform, line, chosen, now.pointer)
        platform.ledger.append(
            "retired",
            line.line,
            actor=actor,
            batch_id=chosen.batch_id,
            body={"version": version, "servable": chosen.servable, "model": chosen.model, "reason": reason},
            key=f"retired:{line.line}:{version}",
        )
        failpoint("retire: after ledger")
        return platform.versions.retire(line.line, version)


def settle(platform: Platform, line: Line) -> Pointer:
    """Do what follows of the gateways' word alone: switch to green once all have it, take back what one cannot load.

    At once where no gateway has said anything for half a minute. Called on every look and by upkeep; idempotent.
    """
    pointer = platform.versions.pointer(line.line)
    if pointer.rollout is None:
        return pointer
    try:
        return _settled(platform, line, pointer, pointer.rollout)
    except Stale:  # somebody moved the line meanwhile: the next look sees where it stands
        return platform.versions.pointer(line.line)


def _settled(platform: Platform, line: Line, pointer: Pointer, rollout: Rollout) -> Pointer:
    warm(platform, line, pointer)
    beats = gateways.serving(platform, line, platform.clock() - gateways.ALIVE)
    states = {
        beat.gateway: next((each for each in beat.lines[line.line] if each.version == rollout.version), None)
        for beat in beats
    }
    failed = [f"{name}: {each.problem}" for name, each in states.items() if each and each.state == "failed"]
    if failed:
        why = f"Version {rollout.version} does not load at {'; '.join(failed)}"
        if line.release.deployment_rollback:
            return rollback(platform, line, to=None, reason=why, actor=PLATFORM, revision=pointer.revision)
        return pointer if rollout.held else hold(platform, line, why=why, revision=pointer.revision)
    if (
        rollout.strategy != "blue_green"
        or rollout.held
        or not all(each and each.state == "ready" for each in states.values())
    ):
        return pointer
    why = f"Loaded by {', '.join(states)}" if states else "No gateway serves the line"
    return promote(platform, line, actor=PLATFORM, reason=why, revision=pointer.revision)


def _under_way(line: Line, pointer: Pointer) -> Rollout:
    if pointer.rollout is None:
        raise Refused(
            f"No version of {line.line} is being rolled out.", f"`mlops deploy {line.line} VERSION --strategy canary`."
        )
    return pointer.rollout


def _step(
    platform: Platform,
    line: Line,
    verb: Literal["advance", "hold"],
    pointer: Pointer,
    rollout: Rollout,
    actor: str,
    why: dict[str, JsonValue],
) -> Pointer:
    """Move within a rollout: other share or standing, same versions."""
    version = platform.versions.get(line.line, rollout.version)
    body = {"version": rollout.version, "previous": rollout.against, "decision": version.decision_id, **why}
    moved = move(
        platform, line, verb, pointer, pointer.roles, rollout, actor=actor, body=body, batch_id=version.batch_id
    )
    return publish_roles(platform, line, moved)
