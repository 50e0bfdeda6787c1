"""Telling everyone which version serves: the serving pointer, the registry, the model card."""

from mlops_assets.core.line import Line
from mlops_assets.core.ports import Platform, Pointer, Version
from mlops_assets.core.records import Decision
from mlops_assets.lifecycle.card import model_card
from mlops_assets.lifecycle.failpoints import failpoint

PLATFORM = "platform"


def publish_roles(platform: Platform, line: Line, pointer: Pointer) -> Pointer:
    """Make serving and the registry's aliases equal to a pointer, and return it."""
    platform.serving.publish(line.line, pointer, platform.versions.get(line.line, pointer.roles["production"]))
    platform.tracker.roles(line.line, pointer)
    return pointer


def mirror(
    platform: Platform, line: Line, version: Version, decision: Decision | None, pointer: Pointer
) -> tuple[str | None, str]:
    """Publish to serving and registry and store the card; return the registry's version and the card's digest."""
    platform.serving.publish(line.line, pointer, version)
    failpoint("release: after serving")
    card = model_card(platform, line, version, decision)
    mlflow_version = platform.tracker.release(version, decision, card)
    failpoint("release: after registry")
    platform.tracker.roles(line.line, pointer)
    failpoint("release: after roles")
    return mlflow_version, platform.store.put_bytes(card.encode())
