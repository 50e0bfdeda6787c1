"""What a person may do to a line's versions from a page or over REST: the verbs of `lifecycle`, each once per click.

A caller who says which revision of the line they looked at moves that revision, or learns that it moved meanwhile: so
a second click, or an answer that was lost, does nothing twice.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from mlops_assets.core.errors import NotFound, Stale
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.serving import AccessRole, Strategy
from mlops_assets.lifecycle.deployment import rollout
from mlops_assets.lifecycle.deployment.moving import last_move

Verb = Literal["rollback", "deploy", "advance", "promote", "retire"]
ROLES: dict[Verb, AccessRole] = {
    "rollback": "reviewer",
    "deploy": "admin",
    "advance": "admin",
    "promote": "admin",
    "retire": "admin",
}
WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Move:
    """What is asked for; `revision` is that of the line's pointer as the caller saw it, if they say so."""

    verb: Verb
    actor: str
    reason: str
    version: int | None = None
    strategy: Strategy | None = None
    revision: int | None = None


def make(platform: Platform, line: Line, move: Move) -> None:
    """Do it; again, by the same person for the same reason and revision, it changes nothing.

    Stale if the line moved since that revision; what the verb itself raises otherwise.
    """
    # Callers of gateways come one by one: two threads may not find the same revision, and both move on from it.
    with platform.leases.hold(f"moves:{line.line}", holder=uuid.uuid4().hex, wait_seconds=WAIT_SECONDS):
        pointer = platform.versions.pointer(line.line)
        if move.revision is not None and pointer.revision != move.revision:
            last = last_move(platform, line)
            if last is not None and (last.actor, last.body.get("reason"), last.body.get("revision")) == (
                move.actor,
                move.reason,
                move.revision + 1,
            ):
                return
            raise Stale(
                f"{line.line} moved since you looked: it was {last.kind.replace('_', ' ')} by {last.actor}."
                if last
                else f"{line.line} is at revision {pointer.revision}, not {move.revision}.",
                "Look again, and decide anew.",
            )
        _verb(platform, line, move)()


def _verb(platform: Platform, line: Line, move: Move) -> Callable[[], Any]:
    who: dict[str, Any] = {"actor": move.actor, "reason": move.reason}
    match move.verb:
        case "rollback":
            return lambda: rollout.rollback(platform, line, to=move.version, revision=move.revision, **who)
        case "advance":
            return lambda: rollout.advance(platform, line, revision=move.revision, **who)
        case "promote":
            return lambda: rollout.promote(platform, line, revision=move.revision, **who)
    if (version := move.version) is None:
        raise NotFound(f"`{move.verb}` needs a version.", "Name one of `GET /v1/lines/LINE/versions`.")
    if move.verb == "retire":
        return lambda: rollout.retire(platform, line, version, **who)
    return lambda: rollout.deploy(platform, line, version, strategy=move.strategy, **who)
