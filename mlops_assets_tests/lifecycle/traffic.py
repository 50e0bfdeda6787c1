"""Predictions of two versions as a gateway would record them, with harm where a test wants it.

With a clock of its own, traffic comes at the pace of its requests, whatever that of the machine.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from mlops_assets.core.events import Correction, Event, Feedback, Prediction, new_event_id
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer
from mlops_assets.lifecycle.monitoring.watching import Looked, look

TENTH = 5  # requests of a tenth of a second


class Ticking:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Harm:
    """What is wrong with the answers of one version."""

    errors: float = 0.0
    factor: float = 1.0
    slow: float = 1.0
    label: str = ""


@dataclass
class Traffic:
    """Requests of a line, of a different user each, split as the line's rollout says."""

    platform: Platform
    line: Line
    harm: dict[int, Harm] = field(default_factory=dict)
    wrong: float = 0.0
    share: float | None = None
    slowest: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(20261121))
    clock: Ticking | None = None

    def send(self, count: int) -> list[str]:
        """Store `count` predictions; return their ids."""
        pointer = self.platform.versions.pointer(self.line.line)
        at_once = count if self.clock is None else TENTH
        ids: list[str] = []
        for sent in range(0, count, at_once):
            made = [event for _ in range(min(at_once, count - sent)) for event in self._one(pointer)]
            if self.clock is not None:
                self.clock.tick(0.1)
            self.platform.events.append(self.line.line, made)
            ids += [str(each.event_id) for each in made if isinstance(each, Prediction) and each.arm != "shadow"]
        return ids

    def until(self, kinds: set[str], most: int = 20_000, each: int = 100) -> tuple[Looked, int]:
        """Send and look until the ledger's newest entry is of these kinds; return that look and how many were sent."""
        for sent in range(each, most + 1, each):
            self.send(each)
            looked = look(self.platform, self.line, self.platform.clock())
            if self.platform.ledger.entries(self.line.line, newest=1)[-1].kind in kinds:
                return looked, sent
        raise AssertionError(f"none of {kinds} after {most} requests")

    def _one(self, pointer: Pointer) -> Iterator[Event]:
        rollout, production = pointer.rollout, pointer.roles["production"]
        share = 0.0 if rollout is None else (rollout.share if self.share is None else self.share)
        new = rollout is not None and self.chance.random() < share
        version = rollout.version if rollout and new else production
        harm = self.harm.get(version, Harm())
        failed = self.chance.random() < harm.errors
        latency = self.chance.lognormvariate(3, 0.4)
        latency = max(latency, self.slowest)
        if self.chance.random() < harm.slow:
            latency *= harm.factor
        name = f"{self.chance.getrandbits(112):028x}"
        yield Prediction(
            event_id=name,
            user=f"user-{name}",
            version=version,
            arm="canary" if new else "production",
            latency_ms=latency,
            success=not failed,
            error="model_error" if failed else None,
            label=None if failed else harm.label or self.chance.choice(["music", "sport", "weather"]),
        )
        if rollout is not None and self.chance.random() < rollout.shadow:
            yield Prediction(
                event_id=new_event_id(),
                version=production if new else rollout.version,
                arm="shadow",
                latency_ms=latency,
                success=True,
                of=name,
                agrees=self.chance.random() >= self.wrong,
            )


def correction(of: str) -> Correction:
    return Correction(event_id=new_event_id(), prediction_id=of, target="sport")


def rating(of: str, stars: int) -> Feedback:
    return Feedback(event_id=new_event_id(), prediction_id=of, rating=stars)
