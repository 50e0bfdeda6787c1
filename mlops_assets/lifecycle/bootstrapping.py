"""The first version of a line: its base model, released without a decision where the policy says so."""

from mlops_assets.core.line import Line
from mlops_assets.core.ports import Platform, Version
from mlops_assets.lifecycle.base import base
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import hold, hold_pointer, production
from mlops_assets.lifecycle.publishing import PLATFORM, mirror


def bootstrap(platform: Platform, line: Line) -> Version | None:
    """Release the base model as version 1 where the policy says so, recorded as such; None where a person decides.

    A line that serves already is left as it is, but for a bootstrap that was killed: that is finished.
    """
    served = production(platform, line)
    if served is not None and (served.decision_id or platform.ledger.entries(line.line, "bootstrapped")):
        return served
    if served is None and line.policy.bootstrap != "approve":
        return None
    with hold(platform, line, "bootstrap"), hold_pointer(platform, line, "bootstrap"):
        version = production(platform, line) or _base_version(platform, line)
        if version.decision_id is not None:  # while this waited, another process did it and released a batch
            return version
        failpoint("bootstrap: after version")
        pointer = platform.versions.pointer(line.line)
        if "production" not in pointer.roles:
            pointer = platform.versions.move(line.line, pointer, {"production": version.version})
        failpoint("bootstrap: after pointer")
        mirror(platform, line, version, None, pointer)
        platform.ledger.append(
            "bootstrapped",
            line.line,
            actor=PLATFORM,
            body={"version": version.version, "servable": version.servable, "policy": line.policy.digest},
            key=f"bootstrapped:{line.line}",
        )
        return version


def _base_version(platform: Platform, line: Line) -> Version:
    made = base(platform, line)
    return platform.versions.add(
        line.line, servable=made.servable, model=made.model, batch_id=None, decision_id=None, parent_version=None
    )
