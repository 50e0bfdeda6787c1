"""What the pages show of lines: what serves, what is on its way, how well it does, what happened lately."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import Field

from mlops_assets.core.line import Line
from mlops_assets.core.ports.intake import Batch
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.serving import Beat, HealthSample, Rollout
from mlops_assets.lifecycle.decide.questions import questions
from mlops_assets.lifecycle.history import chain
from mlops_assets.lifecycle.status import status_of
from mlops_assets.serving.pages import rolling, story
from mlops_assets.serving.pages.charts import Drawn, Limit, Series, drawn

ALIVE = timedelta(seconds=60)  # after which a gateway that says nothing is not counted
FRESH = timedelta(minutes=15)  # after which a sample of health says nothing of now
CHART_HOURS = 24
NEAR = 4
TOLD, TOLD_OF_LINE, SHOWN_BATCHES = 12, 20, 12


class ArmView(Record):
    """One version that answers users now, and what came of it in the last window."""

    role: str
    version: int
    share: float
    sample: HealthSample | None = None


class BatchView(Record):
    """A batch and how far it got."""

    batch_id: str
    contributor: str
    received_at: str
    status: str
    verdict: str | None = None
    decision_id: str | None = None
    version: int | None = None
    reason: str = ""


class LineView(Record):
    """A line as its card on the first page shows it; its own page has more."""

    line: str
    family: str
    description: str
    production: int | None
    revision: int
    released_at: str | None
    arms: tuple[ArmView, ...]
    health: HealthSample | None
    waiting: int = Field(description="Requests in the queues of all gateways")
    shed: int = Field(description="Requests refused for overload")
    troubles: tuple[str, ...] = Field(description="What a gateway says it cannot serve")
    reviews: int
    newest: BatchView | None
    rollout: Rollout | None
    canary: rolling.Judged | None = None

    @property
    def alarming(self) -> bool:
        """Whether somebody has to look at it now."""
        return bool(self.troubles) or (self.health is not None and self.health.status == "CRITICAL")


class Overview(Record):
    """The first page."""

    lines: tuple[LineView, ...] = Field(description="Those that serve: what alarms first, then rollouts")
    idle: tuple[LineView, ...] = Field(description="Those of which nothing serves yet")
    reviews: int
    gateways: tuple[str, ...]
    told: tuple[story.Told, ...]


class LinePage(Record):
    """The page of one line."""

    view: LineView
    last: rolling.Judged | None = Field(description="The rollout that ended last")
    samples: tuple[HealthSample, ...] = Field(description="The newest of each version that serves")
    charts: tuple[Drawn, ...]
    batches: tuple[BatchView, ...]
    told: tuple[story.Told, ...]


def overview(platform: Platform, now: datetime) -> Overview:
    """Return what the first page shows at `now` (aware)."""
    beats = platform.watch.gateways(now - ALIVE)
    open_questions = questions(platform)
    asked = [each.review.line for each in open_questions]
    views = [line_view(platform, line, now, beats, asked.count(line.line)) for line in platform.lines()]
    return Overview(
        lines=tuple(sorted((each for each in views if each.production is not None), key=_urgency)),
        idle=tuple(each for each in views if each.production is None),
        reviews=len(open_questions),
        gateways=tuple(beat.gateway for beat in beats),
        told=tuple(story.latest(platform, TOLD)),
    )


def _urgency(view: LineView) -> tuple[bool, bool]:
    return not view.alarming, not view.rollout


def line_page(platform: Platform, line: Line, now: datetime) -> LinePage:
    """Return what the page of a line shows at `now` (aware)."""
    asked = len(questions(platform, line.line))
    view = line_view(platform, line, now, platform.watch.gateways(now - ALIVE), asked)
    history = platform.watch.history(line.line, now - timedelta(hours=CHART_HOURS))
    batches = platform.batches.list(line.line)[-SHOWN_BATCHES:]
    return LinePage(
        view=view,
        last=rolling.last(platform, line),
        samples=tuple(arm.sample for arm in view.arms if arm.sample),
        charts=tuple(chart for chart in _charts(line, history) if chart),
        batches=tuple(_batch(platform, line, batch) for batch in reversed(batches)),
        told=tuple(story.latest(platform, TOLD_OF_LINE, line.line)),
    )


def line_view(platform: Platform, line: Line, now: datetime, beats: Sequence[Beat], reviews: int) -> LineView:
    """Return how a line stands."""
    pointer = platform.versions.pointer(line.line)
    number = pointer.roles.get("production")
    samples = platform.watch.history(line.line, now - FRESH)
    newest = {sample.version: sample for sample in samples}
    served = [each for beat in beats for each in beat.lines.get(line.line, ())]
    batches = platform.batches.list(line.line)
    return LineView(
        line=line.line,
        family=line.family,
        description=line.description,
        production=number,
        revision=pointer.revision,
        released_at=None if number is None else platform.versions.get(line.line, number).deployed_at,
        arms=_arms(pointer, newest),
        health=newest.get(number) if number is not None else None,
        waiting=sum(each.waiting for each in served),
        shed=sum(each.shed for each in served),
        troubles=tuple(
            f"{beat.gateway} cannot serve version {each.version}: {each.problem}"
            for beat in beats
            for each in beat.lines.get(line.line, ())
            if each.state == "failed"
        )
        + tuple(
            f"{beat.gateway} does not follow the database: {beat.problems[line.line]}"
            for beat in beats
            if line.line in beat.problems
        ),
        reviews=reviews,
        newest=_batch(platform, line, batches[-1]) if batches else None,
        rollout=pointer.rollout,
        canary=rolling.judged(platform, line, pointer),
    )


def _arms(pointer: Pointer, newest: dict[int, HealthSample]) -> tuple[ArmView, ...]:
    rollout, number = pointer.rollout, pointer.roles.get("production")
    if number is None:
        return ()
    share = rollout.share if rollout else 0.0
    arms = [ArmView(role="production", version=number, share=1 - share, sample=newest.get(number))]
    if rollout:
        role = "canary" if rollout.strategy == "canary" else "candidate"
        version = rollout.version
        arms.append(ArmView(role=role, version=version, share=share, sample=newest.get(version)))
    return tuple(arms)


def _batch(platform: Platform, line: Line, batch: Batch) -> BatchView:
    made = chain(platform, line, batch.batch_id)
    decision = made.decision
    return BatchView(
        batch_id=batch.batch_id,
        contributor=batch.contributor,
        received_at=batch.received_at,
        status=status_of(platform, line, made),
        verdict=decision.verdict if decision else None,
        decision_id=decision.decision_id if decision else None,
        version=made.deployed.version if made.deployed else None,
        reason=_why(decision) or (made.quarantined.reason if made.quarantined else ""),
    )


def _why(decision: Decision | None) -> str:
    return decision.reasons[0] if decision and decision.reasons else ""


def _charts(line: Line, history: Sequence[HealthSample]) -> list[Drawn | None]:
    """Return health, errors, latency and traffic over time, a line for each version."""
    versions = sorted({sample.version for sample in history})[-6:]
    of = {version: [sample for sample in history if sample.version == version] for version in versions}

    def lines(value: str) -> list[Series]:
        return [
            Series(
                name=f"version {version}",
                colour=1 + at % 6,
                points=tuple(
                    (datetime.fromisoformat(sample.at).timestamp(), float(number))
                    for sample in of[version]
                    if (number := getattr(sample, value)) is not None
                ),
            )
            for at, version in enumerate(versions)
        ]

    settings, when = line.monitoring, f"over the last {CHART_HOURS} hours"
    slowest = max((sample.latency_p95_ms or 0 for sample in history), default=0)
    alert = Limit(name="alert", value=settings.health_alert_threshold, tone="bad")
    slow = Limit(name="limit", value=settings.max_latency_p95_ms, tone="bad")
    near = (slow,) if slowest * NEAR >= slow.value else ()  # a limit far off would press the curve flat
    return [
        drawn("Health score", lines("score"), says=f"Health score of each version {when}; 1 is best", across="UTC",
              limits=(alert,), low=0, high=1, moments=True),
        drawn("Latency p95", lines("latency_p95_ms"), says=f"95th percentile of latency of each version {when}",
              across="UTC", unit="ms", limits=near, low=0, moments=True),
        drawn("Failed requests", lines("failures"), says=f"Failed requests in each window {when}", across="UTC",
              unit="requests", low=0, moments=True),
        drawn("Traffic", lines("requests"), says=f"Requests in each window of each version {when}", across="UTC",
              unit="requests", low=0, moments=True),
    ]  # fmt: skip
