"""A line beside its challenger: what an A/B comparison found, in numbers (source 002)."""

from pydantic import Field

from mlops_assets.core.records.base import Record
from mlops_assets.core.records.data import Origin


class Rival(Record):
    """What a language model answered in a line's place; without an answer `label` is None and `failure` says why."""

    label: str | None
    failure: str = ""
    latency_ms: float = Field(ge=0)
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cost: float = Field(default=0, ge=0, description="US dollars, at the challenger's prices")


class Latency(Record):
    """Milliseconds of one arm over `n` answers."""

    n: int
    avg: float
    p50: float
    p95: float
    p99: float


class MetricContrast(Record):
    """One metric of both on the same golden items; `gain` is positive where the line is better."""

    metric: str
    line: float
    challenger: float | None
    gain: float | None
    lower: float | None = Field(description="One-sided bound of the gain at the policy's alpha")
    upper: float | None
    n: int


class GoldenContrast(Record):
    """Both on the same items of the golden set, whose right answers are known."""

    origin: Origin
    items: int
    answered: int = Field(description="Items that the challenger answered; only they are compared")
    clusters: int
    metrics: tuple[MetricContrast, ...]
    latency_line: float = Field(description="Milliseconds an item, as scored without a gateway")
    latency_challenger: Latency | None
    cost: float = Field(description="US dollars that the challenger's answers cost, those kept from before included")


class Disagreement(Record):
    """A live prediction that the two answered differently, for a person to look at."""

    prediction_id: str
    at: str
    line: str | None
    challenger: str | None
    right: str | None = Field(description="What a correction says, if there is one")


class LiveContrast(Record):
    """Both on the same live requests."""

    pairs: int = Field(description="Requests that both answered")
    failures: int = Field(description="Copies that the challenger did not answer")
    elsewhere: int = Field(description="Copies left out: of another version's answers, or asked of another challenger")
    disagreement: float | None = Field(description="Share of pairs answered differently")
    disagreement_lower: float | None = Field(description="Two-sided 95 % bounds (Clopper and Pearson)")
    disagreement_upper: float | None
    corrected: int = Field(description="Pairs whose right answer somebody told")
    line_right: int = Field(description="Of those; corrections are told where the line was wrong: it counts against it")
    challenger_right: int
    latency_line: Latency | None
    latency_challenger: Latency | None
    cost: float
    lately: tuple[Disagreement, ...]


class BreakEven(Record):
    """When serving the line has paid for itself, at the challenger's own price per request."""

    request_cost: float = Field(description="US dollars that one answer of the challenger costs on average")
    monthly_challenger: float
    monthly_line: float
    monthly_saving: float
    months: float | None = Field(description="Until the development is paid for; None: never")


class Contrast(Record):
    """All that is known of a line beside its challenger."""

    line: str
    version: int
    challenger: str
    since: str
    until: str
    golden: GoldenContrast | None
    live: LiveContrast
    break_even: BreakEven | None = Field(description="None where the challenger has no price, or answered nothing yet")
