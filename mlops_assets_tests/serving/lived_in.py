"""A home in which a good batch was released as version 2 and a small one waits for a person; each test gets a copy."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tenacity import Retrying, stop_after_delay, wait_fixed

from mlops_assets.core.events import Prediction
from mlops_assets.core.serving import HealthSample, Signal
from mlops_assets.lifecycle import keys
from mlops_assets.lifecycle.deployment import rollout
from mlops_assets.lifecycle.monitoring.watching import look
from mlops_assets.serving.pages.rolling import judged
from mlops_assets_tests.lifecycle.chain import open_light_line, run, submit
from mlops_assets_tests.platform_fixture import copied
from mlops_assets_tests.serving.gateway_fixture import Gateway, IdleEngine, gateway_of

PAGE = {"Accept": "text/html"}


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lived-in")
    platform, line = open_light_line(folder)
    assert run(platform, line, submit(platform, line, "good")).verdict == "APPROVE"
    assert run(platform, line, submit(platform, line, "small")).pending
    return folder


@contextlib.contextmanager
def opened(lived_in: Path, to: Path) -> Iterator[Gateway]:
    """Serve a copy of the home."""
    with gateway_of(*open_light_line(copied(lived_in, to)), engine=IdleEngine()) as made:
        yield made


@pytest.fixture
def own_gateway(lived_in: Path, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway before a copy of its own, for tests that change it."""
    with opened(lived_in, tmp_path / "site") as made:
        yield made


@pytest.fixture(scope="module")
def seen_gateway(lived_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway before one copy, for tests that only look."""
    with opened(lived_in, tmp_path_factory.mktemp("seen") / "site") as made:
        yield made


def asked(gateway: Gateway) -> str:
    """Return the decision that waits for a person."""
    (review,) = gateway.platform.reviews.list()
    return review.decision_id


def hired(gateway: Gateway, name: str) -> Gateway:
    """Return the same gateway with one more reviewer, who has that name; call it as `reviewer`."""
    secret, _ = keys.issue(gateway.platform, name, "reviewer", days=None, actor="tests")
    made = Gateway(gateway.url, gateway.app, gateway.platform, gateway.line, {**gateway.keys, "reviewer": secret})
    with made.client("reviewer") as client:
        for attempt in Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.05)):  # gateways read keys each second
            with attempt:
                client.get("/v1/lines").raise_for_status()
    return made


def begin_canary(gateway: Gateway) -> None:
    """Let version 1 answer a tenth of the users beside version 2, a few wrongly, until its judge has seen some."""
    platform, line = gateway.platform, gateway.line
    rollout.deploy(platform, line, 1, strategy="canary", actor="ops", reason="compare")
    for attempt in Retrying(stop=stop_after_delay(30)):  # what came before its first answer does not count
        with attempt:
            answered(gateway, 30, failing=1)
            look(platform, line, datetime.now(UTC))
            seen = judged(platform, line, platform.versions.pointer(line.line))
            assert seen is not None
            assert seen.canary_requests


def answered(gateway: Gateway, canary: int, failing: int = 0) -> None:
    """Store 300 answers, each to somebody else: some of the canary, of which some failed, the rest of production."""
    given = [
        Prediction(
            version=1 if at < canary else 2, arm="canary" if at < canary else "production",
            latency_ms=10 + at % 7, success=at >= failing, user=f"user{at}", label="music",
        )
        for at in range(300)
    ]  # fmt: skip
    gateway.platform.events.append("topics", given)


def sample(version: int, at: datetime, **changes: object) -> HealthSample:
    """Return a sample of the health of `topics`: fine but for p95."""
    fine = HealthSample(
        line="topics", version=version, at=at.isoformat(timespec="milliseconds"), window_seconds=300, status="HEALTHY",
        score=0.98, connection_score=1, error_score=0.97, latency_score=0.96, requests=400, failures=3,
        latency_avg_ms=11, latency_p95_ms=21, latency_p99_ms=34,
        signals=(
            Signal(name="error_rate", value=0.0075, limit=0.05, unit="of requests", passed=True, n=400),
            Signal(name="latency_p95", value=2100, limit=1000, unit="ms", passed=False, n=400),
            Signal(name="accuracy", value=None, limit=0.9, unit="of predictions", passed=None, n=3),
        ),
        issues=("p95 is beyond its limit",),
    )  # fmt: skip
    return fine.model_copy(update=changes)


@dataclass
class Element:
    """A tag with its attributes."""

    tag: str
    attributes: dict[str, str | None]


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self._texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split())

    def all(self, *tags: str) -> list[Element]:
        return [each for each in self.elements if each.tag in tags]

    def values(self, attribute: str) -> list[str]:
        return [value for each in self.elements if (value := each.attributes.get(attribute)) is not None]

    def fields(self) -> dict[str, str]:
        """Return what the page's form sends as it stands."""
        return {
            str(each.attributes["name"]): each.attributes.get("value") or ""
            for each in self.all("input")
            if each.attributes.get("name")
        }
