"""One line as a gateway serves it: the versions it keeps loaded, and which of them answers whom.

The gateway follows what is published and never decides. A version gets traffic once it has proved itself; until then,
and if it never does, whoever can answer does: so neither a switch nor a version that does not load fails a request.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mlops_assets.core.line import Line
from mlops_assets.core.serving import Live, ServedVersion
from mlops_assets.serving.engine.split import position
from mlops_assets.serving.engine.workers import ServedModel

ArmName = Literal["production", "canary"]
Key = tuple[int, str]  # version and servable
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Routing:
    """Who answers now. `rollout` is the version that is being rolled out, ready or not, `share` its part of users."""

    production: ServedModel | None
    rollout: ServedModel | None
    share: float
    shadow: float
    spare: tuple[ServedModel, ...]
    challenger: ServedModel | None

    def choose(self, user: str) -> tuple[ServedModel | None, ArmName]:
        """Return who answers a user, and as which arm."""
        rollout = self.rollout
        if (
            rollout is not None
            and self.share > 0
            and rollout.usable
            and position(rollout.line.line, rollout.version, user) < self.share
        ):
            return rollout, "canary"
        if self.production is not None and self.production.usable:
            return self.production, "production"
        return self.other(None)

    def other(self, than: ServedModel | None) -> tuple[ServedModel | None, ArmName]:
        """Return who can answer instead of a version, production first."""
        for model in (self.production, *self.spare, self.rollout):
            if model is not None and model is not than and model.usable:
                return model, "canary" if model is self.rollout else "production"
        return None, "production"

    def counterpart(self, model: ServedModel) -> ServedModel | None:
        """Return the other side of a rollout, if both sides run."""
        if self.rollout is None or self.production is None:
            return None
        return self.production if model is self.rollout else self.rollout


NOBODY = Routing(None, None, 0.0, 0.0, (), None)


class ServedLine:
    """Keeps the versions loaded that a line's pointer names."""

    def __init__(self, line: Line, load: Callable[[Line, int, str, str], ServedModel]) -> None:
        self.line = line
        self.live: Live | None = None
        self.routing = NOBODY
        self._load = load
        self._models: dict[Key, ServedModel] = {}
        self._production: ServedModel | None = None  # the last one that was ready
        self._challenger: Key | None = None

    def lacks(self, challenger: tuple[int, str, str] | None) -> bool:
        """Say whether a challenger is not loaded yet."""
        return challenger is not None and challenger[:2] != self._challenger

    def follow(self, live: Live, challenger: tuple[int, str, str] | None = None) -> list[ServedModel]:
        """Load what is published now and route to what is ready; return those that are to be closed."""
        if live != self.live:
            log.info("%s: revision %d, %s", live.line, live.revision, {arm.role: arm.version for arm in live.arms})
        self.live = live
        wanted = {(arm.version, arm.servable): arm.path for arm in live.arms}
        if challenger is not None:
            self._challenger = challenger[:2]
            wanted.setdefault(self._challenger, challenger[2])
        for (version, servable), path in wanted.items():
            if (version, servable) not in self._models:
                self._models[version, servable] = self._load(self.line, version, servable, path)
        return self.settle()

    def settle(self) -> list[ServedModel]:
        """Route to what is ready now; return those that nobody needs any more, for the caller to close."""
        live = self.live
        if live is None:
            return []
        named = {arm.role: self._models[arm.version, arm.servable] for arm in live.arms}
        production, rollout = named["production"], named.get("canary") or named.get("candidate")
        if production.usable or self._production is None:
            self._production = production
        needed = {*named.values(), self._production}
        challenger = self._models.get(self._challenger) if self._challenger else None
        self.routing = Routing(
            production=self._production,
            rollout=rollout if rollout is not self._production else None,
            share=next((arm.share for arm in live.arms if self._models[arm.version, arm.servable] is rollout), 0.0),
            shadow=live.shadow,
            spare=tuple(each for each in needed if each not in (self._production, rollout)),
            challenger=challenger,
        )
        if challenger is not None:
            needed.add(challenger)
        gone = [key for key, model in self._models.items() if model not in needed]
        return [self._models.pop(key) for key in gone]

    def summary(self) -> tuple[ServedVersion, ...]:
        """Return what a beat says of the line."""
        return tuple(model.summary() for model in self._models.values())

    def models(self) -> tuple[ServedModel, ...]:
        """Return every version that is loaded."""
        return tuple(self._models.values())
