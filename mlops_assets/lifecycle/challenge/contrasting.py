"""A line beside its challenger: both on the golden set, both on live traffic, and what each of them costs (002).

Who is compared never decides anything: a challenger is looked at, a candidate is judged.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue

from mlops_assets.core.contrast import (
    BreakEven,
    Contrast,
    GoldenContrast,
    LiveContrast,
    MetricContrast,
    Rival,
)
from mlops_assets.core.dataset import item_input, read_items
from mlops_assets.core.digests import sha256_json
from mlops_assets.core.errors import ConfigError, NotFound, Unavailable
from mlops_assets.core.family import Family
from mlops_assets.core.line import Challenger, Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.data import Item
from mlops_assets.lifecycle.challenge.live import latency_of, live_contrast
from mlops_assets.lifecycle.evaluation.comparing import ScoredSet, comparisons
from mlops_assets.lifecycle.evaluation.evaluation_sets import EvaluationDataset, evaluation_sets
from mlops_assets.lifecycle.evaluation.predictions import predict
from mlops_assets.lifecycle.holding import production
from mlops_assets.lifecycle.pages import render
from mlops_assets.lifecycle.progress import progress_file

TOGETHER = 8  # questions to a provider at once
DAYS_A_MONTH = 30


def contrast(
    platform: Platform,
    line: Line,
    *,
    since: datetime,
    until: datetime,
    golden_items: int = 0,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Contrast:
    """Return how a line compares with its challenger on the requests that both answered in [since, until).

    With `golden_items` the first so many of the golden set are put to both, too: a language model is paid for that,
    once for each item. `told` hears of items done. NotFound for a line without a challenger, or that serves nothing;
    ConfigError for a challenger that cannot answer in its place; Unavailable if it answers none of the items.
    """
    challenger, served = challenged(platform, line), production(platform, line)
    if served is None:
        raise NotFound(f"{line.line} serves nothing yet.", "Release a version first.")
    golden = _golden(platform, line, challenger, served, golden_items, told) if golden_items else None
    live = live_contrast(platform, line, challenger, served, since, until)
    return Contrast(
        line=line.line,
        version=served.version,
        challenger=challenger.model or f"version {challenger.version}",
        since=since.isoformat(timespec="seconds"),
        until=until.isoformat(timespec="seconds"),
        golden=golden,
        live=live,
        break_even=_break_even(challenger, golden, live),
    )


def challenged(platform: Platform, line: Line) -> Challenger:
    """Return the line's challenger; NotFound without one, ConfigError for a model that cannot answer for it."""
    chosen = line.challenger
    if chosen is None:
        raise NotFound(
            f"{line.line} has no challenger to compare with.",
            "Name one in its YAML: `challenger: {model: openai:gpt-4o-mini, instruction: ...}` or `{version: 1}`.",
        )
    if chosen.model is not None:
        family = platform.family(line.family)
        if family.media != "json" or not family.labels(family.Config.model_validate(line.config)):
            raise ConfigError(
                f"A language model can only challenge a line whose inputs are text and which has labels; {line.line} "
                f"is of the {line.family} family.",
                "Name a version instead: `challenger: {version: 1}`.",
            )
    return chosen


def contrast_page(found: Contrast) -> str:
    """Return the HTML page of a comparison."""
    return render("challenge/contrast.html.j2", found=found)


def _golden(
    platform: Platform,
    line: Line,
    challenger: Challenger,
    served: Version,
    count: int,
    told: Callable[[int, int], None],
) -> GoldenContrast:
    dataset = next(each for each in evaluation_sets(platform, line) if each.kind == "golden")
    family = platform.family(line.family)
    config = family.Config.model_validate(line.config)
    folder = platform.store.folder(dataset.dataset)
    every = read_items(folder)
    chosen = sorted(range(len(every)), key=lambda at: sha256_json(every[at].id))[:count]  # whatever their order
    items = [every[at] for at in chosen]
    ours, seconds = _predicted(platform, line, served.servable, dataset, chosen)
    theirs: Sequence[JsonValue]
    rivals: list[Rival] = []
    if challenger.version is not None:
        other = platform.versions.get(line.line, challenger.version)
        theirs, their_seconds = _predicted(platform, line, other.servable, dataset, chosen)
        latency = latency_of([1000 * their_seconds * family.units([item]) for item in items])
    else:
        labels = family.labels(config)
        rivals = _asked(platform, challenger, [(item, item_input(folder, item)) for item in items], labels, told)
        theirs = [each.label for each in rivals]
        latency = latency_of([each.latency_ms for each in rivals if each.label is not None])
        if latency is None:
            raise Unavailable(f"{challenger.model} answered none of {len(items)} items.", rivals[0].failure)
    answered = [index for index, each in enumerate(theirs) if each is not None]
    compared = [items[index] for index in answered]
    return GoldenContrast(
        origin=dataset.origin,
        items=len(items),
        answered=len(answered),
        clusters=len({item.cluster for item in compared}),
        metrics=tuple(
            _metrics(line, family, dataset, compared, [ours[i] for i in answered], [theirs[i] for i in answered])
        ),
        latency_line=1000 * seconds * family.units(items) / len(items),
        latency_challenger=latency,
        cost=sum(each.cost for each in rivals),
    )


def _predicted(
    platform: Platform, line: Line, servable: str, dataset: EvaluationDataset, chosen: Sequence[int]
) -> tuple[list[JsonValue], float]:
    """Return a version's answers to the chosen items, and its seconds per unit of input."""
    progress = progress_file(platform, line.line, "compare")
    made = predict(platform, line, servable, {dataset.name: dataset.dataset}, progress)
    predictions = made.predictions[dataset.name]
    return [predictions[at] for at in chosen], made.seconds_per_unit


def _metrics(
    line: Line,
    family: Family,
    dataset: EvaluationDataset,
    items: Sequence[Item],
    ours: Sequence[JsonValue],
    theirs: Sequence[JsonValue],
) -> Iterator[MetricContrast]:
    """Compare by every metric of the family that is not about one class alone, the line in the candidate's place."""
    config = family.Config.model_validate(line.config)
    scored = ScoredSet(
        name=dataset.name,
        kind=dataset.kind,
        dataset=dataset.dataset,
        origin=dataset.origin,
        items=items,
        predictions={"candidate": ours, "production": theirs},
        scores={"candidate": family.score(items, ours, config), "production": family.score(items, theirs, config)},
    )
    shown = [each for each in family.metrics(config) if each.sliced]
    for each in comparisons(scored, shown, line.policy):
        if each.slice is None:
            yield MetricContrast(
                metric=each.metric,
                line=each.candidate,
                challenger=each.production,
                gain=each.delta,
                lower=each.lower,
                upper=each.upper,
                n=each.n,
            )


def _asked(
    platform: Platform,
    challenger: Challenger,
    items: Sequence[tuple[Item, Path | JsonValue]],
    labels: Sequence[str],
    told: Callable[[int, int], None],
) -> list[Rival]:
    """Return an answer for each item, some asked at once; an answer that was paid for is kept."""

    def one(value: Path | JsonValue) -> Rival:
        if isinstance(value, Path):
            raise ConfigError("A language model is asked about text, not about files.")
        identity = challenger.model_dump(mode="json", include={"model", "base_url", "instruction"})
        kept = platform.home / "cache" / "challenger" / f"{sha256_json([identity, list(labels), value])}.json"
        if kept.exists():
            was = Rival.parse(kept.read_bytes())
            return was.model_copy(update={"cost": challenger.cost(was.input_tokens, was.output_tokens)})
        answer = platform.challengers.answer(challenger, value, labels)
        if answer.label is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_name(f"{kept.name}.{uuid.uuid4().hex}")
            partial.write_text(answer.canonical_json(), encoding="utf-8")
            partial.replace(kept)
        return answer

    answers: list[Rival] = []
    with ThreadPoolExecutor(TOGETHER) as pool:
        for answer in pool.map(one, [value for _, value in items]):
            answers.append(answer)
            told(len(answers), len(items))
    return answers


def _break_even(challenger: Challenger, golden: GoldenContrast | None, live: LiveContrast) -> BreakEven | None:
    """Work out when serving pays, by what an answer of the challenger really cost; live requests before golden ones."""
    answers = live.latency_challenger.n if live.latency_challenger else 0
    paid, count = (live.cost, answers) if answers else (golden.cost, golden.answered) if golden else (0.0, 0)
    if challenger.model is None or count == 0 or paid == 0:
        return None
    monthly = paid / count * challenger.daily_requests * DAYS_A_MONTH
    saving = monthly - challenger.own_price
    return BreakEven(
        request_cost=paid / count,
        monthly_challenger=monthly,
        monthly_line=challenger.own_price,
        monthly_saving=saving,
        months=challenger.development_price / saving if saving > 0 else None,
    )
