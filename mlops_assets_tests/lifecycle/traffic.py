"""Predictions of two versions as a gateway would record them, with harm where a test wants it."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mlops_assets.core.events import Correction, Event, Feedback, Prediction, new_event_id
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer
from mlops_assets.lifecycle.monitoring.watching import Looked, look

UNTIL_SECONDS = 30


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

    def send(self, count: int) -> list[str]:
        """Store `count` predictions; return their ids."""
        pointer = self.platform.versions.pointer(self.line.line)
        made = [event for _ in range(count) for event in self._one(pointer)]
        self.platform.events.append(self.line.line, made)
        return [str(each.event_id) for each in made if isinstance(each, Prediction) and each.arm != "shadow"]

    def until(self, kinds: set[str], most: int = 20_000, each: int = 100) -> tuple[Looked, int]:
        """Send and look until the ledger's newest entry is of these kinds; return that look and how many were sent.

        What is sent right after a step counts for neither: on a quick machine many requests are.
        """
        sent, ends = 0, time.monotonic() + UNTIL_SECONDS
        while sent < most or time.monotonic() < ends:
            self.send(each)
            sent += each
            looked = look(self.platform, self.line, datetime.now(UTC))
            if self.platform.ledger.entries(self.line.line, newest=1)[-1].kind in kinds:
                return looked, sent
        raise AssertionError(f"none of {kinds} after {sent} requests")

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
        name = new_event_id()
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
