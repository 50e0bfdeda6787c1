"""The first version of a line: its base model, released without a decision where the policy says so."""

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Role, Version
from mlops_assets.lifecycle.deployment.moving import is_told, move, standing
from mlops_assets.lifecycle.deployment.publishing import PLATFORM, mirror
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import hold, hold_pointer, production
from mlops_assets.lifecycle.training.base import base


def bootstrap(platform: Platform, line: Line) -> Version | None:
    """Release the base model as version 1 where the policy says so, recorded as such; None where a person decides.

    A line that serves already is left as it is, but for a bootstrap that was killed: that is finished.
    """
    served = production(platform, line)
    if served is not None and (served.decision_id or is_told(platform, platform.versions.pointer(line.line))):
        return served
    if served is None and line.policy.bootstrap != "approve":
        return None
    with hold(platform, line, "bootstrap"), hold_pointer(platform, line, "bootstrap"):
        pointer = standing(platform, line).pointer
        version = production(platform, line) or _base_version(platform, line)
        if version.decision_id is not None:  # while this waited, another process did it and released a batch
            return version
        failpoint("bootstrap: after version")
        if "production" not in pointer.roles:
            body = {"version": version.version, "servable": version.servable, "policy": line.policy.digest}
            roles: dict[Role, int] = {"production": version.version}
            pointer = move(platform, line, "bootstrap", pointer, roles, actor=PLATFORM, body=body)
        mirror(platform, line, version, None, pointer)
        return version


def _base_version(platform: Platform, line: Line) -> Version:
    made = base(platform, line)
    return platform.versions.add(
        line.line, servable=made.servable, model=made.model, batch_id=None, decision_id=None, parent_version=None
    )
