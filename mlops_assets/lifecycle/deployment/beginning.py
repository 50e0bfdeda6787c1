"""How a version begins to serve: the pointer's roles and rollout, by strategy."""

from mlops_assets.core.clock import utc_text
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer, Role, Version
from mlops_assets.core.serving import Rollout, Strategy
from mlops_assets.lifecycle.deployment.guarding import back_up, require_whole

ROLES: dict[Strategy, Role] = {"blue_green": "candidate", "canary": "canary"}


def begin(
    platform: Platform, line: Line, pointer: Pointer, version: Version, strategy: Strategy
) -> tuple[dict[Role, int], Rollout | None]:
    """Return the roles and the rollout with which a version begins; without one it serves all users at once.

    Corrupt if the version, or the one that a rollback would serve again, is not whole.
    """
    require_whole(platform, line, version)
    back_up(platform, line, pointer)
    if "production" not in pointer.roles or strategy == "replace":
        return replaced(pointer, version.version), None
    canary, at = strategy == "canary", utc_text(platform.clock())
    rollout = Rollout(
        strategy=strategy,
        version=version.version,
        against=pointer.roles["production"],
        step=0,
        share=line.release.steps[0] if canary else 0,
        shadow=line.release.shadow_percentage if canary else 0,
        began_at=at,
        stepped_at=at,
    )
    return {**pointer.roles, ROLES[strategy]: version.version}, rollout


def replaced(pointer: Pointer, version: int) -> dict[Role, int]:
    """Return the roles once `version` serves all users and nothing is being rolled out."""
    roles: dict[Role, int] = {"production": version}
    if "production" in pointer.roles:
        roles["previous"] = pointer.roles["production"]
    return roles
