"""How often decisions are wrong, where the truth is known: simulated candidates through the real statistics and rule.

a. Promotions of candidates that are exactly as good as production: at most 1 % may be approved. Where speakers repeat
   and differ, the lower bound alone may be above zero for at most 5 % (a bootstrap over utterances stands beside it).
b. Power: a candidate that is better by the smallest detectable gain, as the platform prints it, is found in at least
   80 % of golden sets.
c. Seasons of 50 candidates none of which is better, one golden version: at most 1 wrong promotion in 20 seasons, be
   they drawn one by one or bred by somebody who keeps whatever looked best.
d. A language model that insists on approval, through the real client and graph: no verdict is raised.
e. A decision without a language model takes less than 50 ms beyond reading its evidence, and 1,000 decisions replayed
   from what was stored come out identical.

Nothing is re-implemented: scores go through `lifecycle.comparing`, the record of evidence through `rules.verdict`, with
a real policy and the line's own spending of errors. Intervals are exact binomial ones (Clopper & Pearson 1934), 90 %.
`--only a,c` runs some sections, `--quick` a thirtieth of each.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process per core instead

import json
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from time import perf_counter
from typing import Any

import numpy as np
from alternate import seconds, show
from rich.console import Console
from rich.progress import track
from scipy.stats import binomtest
from simulated import DIGESTS, WORLDS, Ratings, Scores, Speech, World

from mlops_assets.core.digests import sha256_bytes
from mlops_assets.core.line import EvaluationSet, Line
from mlops_assets.core.policy import Analyst, Gates, Inquiry, Margin, Policy
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.decision import Evidence, ReviewAnswer, Verdict
from mlops_assets.core.records.evaluation import Comparison, EvalReport, SystemReport
from mlops_assets.lifecycle.decide import answer, decide, rules
from mlops_assets.lifecycle.decide.evidence import gather
from mlops_assets.lifecycle.decide.hearing import CAUTION
from mlops_assets.lifecycle.decide.planning import next_purchase
from mlops_assets.lifecycle.decide.replaying import Replayer, recorded_decisions
from mlops_assets.lifecycle.decide.ruling import Ruling
from mlops_assets.lifecycle.evaluation.comparing import ScoredSet, comparisons, scores_lines, set_result
from mlops_assets_tests.chat_server import Provider
from mlops_assets_tests.lifecycle.decide.evaluated import open_platform, put_evaluated
from mlops_assets_tests.lifecycle.decide.hostile_replies import NAMES, answers

Rule = Callable[[Evidence, Policy], Ruling]
SEED = 20_261_121
BATCH = "20260101-0123456789ab"
ANSWER = ReviewAnswer(approve=True, reviewer="somebody", reason="listened", answered_at="2026-01-01T00:00:00+00:00")
PROMOTIONS, POWERED, PILOTS, SEASONS, CANDIDATES = 2_000, 500, 100, 40, 50
REPLIES, REPLAYED = 500, 1_000
SHRINK, NAIVE_SHARE = 30, 10
REPEATED: tuple[World, ...] = (
    Speech(speakers=12, deviation=0.05, name="12 speakers"),
    Speech(speakers=30, deviation=0.05, name="30 speakers"),
    Ratings(users=30, events=32, deviation=0.4, name="30 users"),
)


def declared(world: World, *, sealed: bool = False) -> Line:
    """Return a line that states nothing but its primary metric: every other number of its policy is the default.

    Only the gate on single items is open, so that what keeps a candidate out is the statistics alone.
    """
    metric = Margin(metric=world.metrics[0].name, margin=world.margin)
    return Line(
        line="simulated",
        family=world.family,
        golden=EvaluationSet(path="golden", origin="synthetic"),
        sealed=EvaluationSet(path="sealed", origin="synthetic") if sealed else None,
        policy=Policy(primary=metric, gates=Gates(max_degraded_share=1.0)),
    )


def compared(world: World, line: Line, scored: ScoredSet) -> Comparison:
    """Return the comparison of the primary metric on one set, as `evaluate` makes it."""
    return comparisons(scored, world.metrics[:1], line.policy, line.gain_alpha(scored.kind))[0]


def evidence(
    world: World, line: Line, *sets: ScoredSet, looks: int = 1, openings: int = 0, batch_id: str = BATCH
) -> Evidence:
    """Return the record that a decision on these sets rests on; all else in it is in order, and as in production."""
    each = next(metric for metric in world.metrics if not metric.mean_of)
    system = SystemReport(servable="a" * 64, seconds_per_unit=1, unit="item", size_bytes=1, load_seconds=1)
    return Evidence(
        line=line.line,
        batch_id=batch_id,
        candidate="c" * 64,
        production="a" * 64,
        production_version=1,
        golden={"golden": DIGESTS["golden"]},
        policy=line.policy.digest,
        contributor="nobody",
        kept=1_000,
        dropped_share=0,
        quality_score=10,
        report="e" * 64,
        infra_ok=True,
        sets=tuple(set_result(scored, each, line, sha256_bytes(scores_lines(scored))) for scored in sets),
        comparisons=tuple(compared(world, line, scored) for scored in sets),
        systems={"candidate": system.model_copy(update={"servable": "c" * 64}), "production": system},
        looks=looks,
        sealed=DIGESTS["sealed"] if line.sealed else None,
        openings=openings,
        code_version="simulated",
    )


def pair(world: World, seed: int, effect: float = 0.0) -> ScoredSet:
    """Return a golden set with production, and a candidate that is better by `effect`."""
    rng = np.random.default_rng([SEED, seed])
    golden = world.golden(rng)
    return golden.scored(world.system(golden, rng), world.system(golden, rng, effect))


def judged(job: tuple[World, int], rule: Rule) -> Verdict:
    """Return the verdict on a candidate exactly as good as production."""
    world, seed = job
    return rule(evidence(world, declared(world), pair(world, seed)), declared(world).policy).verdict


def above_zero(job: tuple[World, int, bool]) -> bool:
    """Say whether the lower bound at alpha is above zero for equal systems; naive: items taken for independent."""
    world, seed, naive = job
    scored = pair(world, seed)
    if naive:
        scored = replace(scored, items=[item.model_copy(update={"cluster": item.id}) for item in scored.items])
    return _above(compared(world, declared(world), scored).lower)


def detectable(job: tuple[World, int]) -> float:
    """Return the smallest detectable gain that the platform prints for a golden set."""
    found = compared(job[0], declared(job[0]), pair(*job)).detectable
    assert found is not None
    return found


def found(job: tuple[World, int, float]) -> bool:
    """Say whether a candidate that is better by an effect has the lower bound that an approval needs."""
    return _above(compared(job[0], declared(job[0]), pair(*job)).gain_lower)


@dataclass(frozen=True)
class Season:
    """How one golden version fared: wrong promotions, questions to people, rejections, openings of the sealed set."""

    promoted: int
    asked: int
    rejected: int
    openings: int


@dataclass(frozen=True)
class Played:
    """One season to play: candidates none of which is better, bred from the best-looking one so far or drawn anew."""

    world: World
    seed: int
    candidates: int
    bred: bool
    sealed: bool


def season(job: Played, rule: Rule) -> Season:
    """Play a season against one golden version; what is approved becomes production."""
    rng = np.random.default_rng([SEED, 1, job.seed])
    line = declared(job.world, sealed=job.sealed)
    golden, sealed = job.world.golden(rng), job.world.golden(rng)
    production, confirmed = job.world.system(golden, rng), job.world.system(sealed, rng)
    best: tuple[float, Scores] = (-np.inf, production)
    verdicts: list[Verdict] = []
    openings = 0
    for look in range(1, job.candidates + 1):
        candidate = job.world.system(golden, rng)
        if job.bred:
            candidate = mixed(best[1], candidate, rng)
        seen = golden.scored(production, candidate)
        gathered = evidence(job.world, line, seen, looks=look, openings=openings)
        best = max(best, (gathered.comparisons[0].delta or 0.0, candidate), key=lambda each: each[0])
        ruling = rule(gathered, line.policy)
        fresh = job.world.system(sealed, rng)
        if next_purchase(ruling, gathered, line.policy) == "sealed_set":
            openings += 1
            opened = sealed.scored(confirmed, fresh, kind="sealed")
            gathered = evidence(job.world, line, seen, opened, looks=look, openings=openings)
            ruling = rule(gathered, line.policy)
        verdicts.append(ruling.verdict)
        if ruling.verdict == "APPROVE":
            production, confirmed = candidate, fresh
    return Season(*(verdicts.count(each) for each in ("APPROVE", "HUMAN_REVIEW", "REJECT")), openings=openings)


def mixed(kept: Scores, fresh: Scores, rng: np.random.Generator) -> Scores:
    """Return a candidate that answers half of the items as the one that is kept: no better on items not yet seen."""
    return [old if keep else new for old, new, keep in zip(kept, fresh, rng.random(len(fresh)) < 0.5, strict=True)]


def promotions(shrink: int = 1, rule: Rule = rules.verdict) -> dict[str, Any]:
    """Section a, the whole rule."""
    figures: dict[str, Any] = {}
    count = PROMOTIONS // shrink
    jobs = [(WORLDS[seed % len(WORLDS)], seed) for seed in range(count)]
    verdicts = list(_spread(partial(judged, rule=rule), jobs, "promotions of equals"))
    what = f"{count} candidates as good as production: wrongly approved"
    figures[what] = _share(verdicts.count("APPROVE"), count, "at most 1 %")
    figures["of which a person is asked about"] = _share(verdicts.count("HUMAN_REVIEW"), count)
    return figures


def repeated(shrink: int = 1) -> dict[str, Any]:
    """Section a, where speakers and users have many items each."""
    figures: dict[str, Any] = {}
    count = PROMOTIONS // 2 // shrink
    for naive, target in ((False, "at most 5 %"), (True, "")):
        hits: dict[str, list[bool]] = {}
        for world in REPEATED:
            jobs = [(world, seed, naive) for seed in range(count // NAIVE_SHARE if naive else count)]
            hits[world.name] = list(_spread(above_zero, jobs, f"equals, {world.name}{', naively' if naive else ''}"))
        every = [hit for each in hits.values() for hit in each]
        each = "; ".join(f"{name} {np.mean(found):.1%}" for name, found in hits.items())
        what = "the same by items as if independent" if naive else "equals on speakers that repeat: lower bound above 0"
        figures[f"{what}, of {len(every)}"] = f"{_share(sum(every), len(every), target)} ({each})"
    return figures


def power(shrink: int = 1) -> dict[str, Any]:
    """Section b."""
    figures: dict[str, Any] = {}
    for world in WORLDS:
        pilots = [(world, 10_000 + seed) for seed in range(max(10, PILOTS // shrink))]
        effect = float(np.mean(list(_spread(detectable, pilots, f"pilots, {world.name}"))))
        jobs = [(world, 20_000 + seed, effect) for seed in range(POWERED // shrink)]
        hits = sum(_spread(found, jobs, f"power, {world.name}"))
        figures[f"power at the smallest detectable gain ({world.name}: {effect:.4f})"] = _share(
            hits, len(jobs), "at least 80 %"
        )
    return figures


def seasons(shrink: int = 1, rule: Rule = rules.verdict) -> dict[str, Any]:
    """Section c."""
    figures: dict[str, Any] = {}
    for sealed, bred in ((False, False), (True, False), (False, True), (True, True)):
        count = max(2, SEASONS // shrink)
        jobs = [Played(WORLDS[seed % len(WORLDS)], seed, CANDIDATES, bred, sealed) for seed in range(count)]
        label = f"{'bred' if bred else 'drawn'} candidates, {'a' if sealed else 'no'} sealed set"
        played = list(_spread(partial(season, rule=rule), jobs, f"seasons, {label}", chunk=1))
        promoted = sum(each.promoted for each in played)
        figures[f"{count} seasons of {CANDIDATES} equals ({label}): wrong promotions"] = (
            f"{promoted} ({promoted / count * 20:.2g} in 20 seasons; target at most 1); a season asks people "
            f"{np.mean([each.asked for each in played]):.1f} times"
        )
    return figures


def hostile(shrink: int = 1, rule: Rule = rules.verdict) -> dict[str, Any]:
    """Section d: a language model that wants approval, on data whose names ask for it; it may not beat `rule`."""
    world, count = WORLDS[0], REPLIES // shrink
    raised = lowered = heard = 0
    os.environ.setdefault("OPENAI_API_KEY", "not-a-key")
    with TemporaryDirectory() as home, _server() as server:
        analyst = Analyst(model="openai:hostile", base_url=server.url)
        line = declared(world)
        policy = line.policy.model_copy(update={"analyst": analyst, "inquiry": Inquiry(budget=0)})
        line = line.model_copy(update={"policy": policy})
        platform = _platform(Path(home), line)
        for seed, reply in enumerate(track(list(answers(count)), "hostile replies", console=Console(stderr=True))):
            server.content = reply
            scored = pair(world, seed, (0.03, 0.01, 0.01)[seed % 3])
            batch = evaluated(platform, world, line, scored, seed, names=NAMES[seed % len(NAMES)])
            decision = decide(platform, line, batch)
            steps = CAUTION.index(decision.verdict) - CAUTION.index(rule(decision.evidence, policy).verdict)
            raised += steps < 0
            lowered += steps > 0
            heard += any(each.reply is not None for each in decision.exchanges)
        prompts = json.dumps(server.asked, ensure_ascii=False)
        told = sum(
            json.dumps(name, ensure_ascii=False)[1:-1] in prompts for name in NAMES if len(name) > len(BATCH) / 2
        )
        return {
            f"{len(server.asked)} hostile replies to the analyst: verdicts raised": f"{raised}; target 0",
            "of which lowered it, and could be read": f"{lowered}, and {heard}",
            "names that ask for approval, found in a prompt": f"{told} of {len(NAMES)}",
        }


@contextmanager
def _server() -> Iterator[Provider]:
    """Run a server that speaks OpenAI's interface."""
    server = Provider()
    thread = Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.server.shutdown()
        thread.join()
        server.server.server_close()


def cost(shrink: int = 1) -> dict[str, Any]:
    """Section e: what a decision costs where no language model is asked, and whether all come out the same again."""
    world, count = WORLDS[0], max(20, REPLAYED // shrink)
    line = declared(world)
    console = Console(stderr=True)
    with TemporaryDirectory() as home:
        platform = _platform(Path(home), line)
        beyond: dict[bool, list[float]] = {True: [], False: []}
        for seed in track(range(count), "decisions", console=console):
            batch = evaluated(platform, world, line, pair(world, seed, (-0.03, 0.0, 0.03)[seed % 3]), seed)
            reading = seconds(partial(_read, platform, line, batch))
            deciding = seconds(partial(decide, platform, line, batch))
            bought = platform.ledger.entries(line.line, "bought", batch)
            beyond[bool(bought)].append(1_000 * (deciding - reading))
        for review in platform.reviews.list(open_only=True)[: count // 10]:
            answer(platform, review.decision_id, ANSWER)
        decisions = recorded_decisions(platform)
        replayer = Replayer(platform)
        begun = perf_counter()
        same = sum(replayer.replay(each).identical for each in track(decisions, "replays", console=console))
        took = perf_counter() - begun
    verdicts = Counter(each.verdict for each in decisions)
    return {
        "milliseconds of a decision beyond reading its evidence (target below 50)": float(np.median(beyond[False])),
        "milliseconds of one that bought a report on slices and speakers": float(np.median(beyond[True])),
        "decisions replayed identically": f"{same} of {len(decisions)} in {took:.1f} s; target all",
        "of which": ", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items())),
    }


def evaluated(platform: Platform, world: World, line: Line, scored: ScoredSet, seed: int, names: str = "") -> str:
    """Make the platform hold a batch whose candidate was scored so, ready to be decided on; return the batch's id.

    With `names`, that is what its contributor and a slice of the golden set are called.
    """
    claim = platform.batches.claim(
        line.line, sha256_bytes(str(seed).encode()), contributor="nobody", source="cli", filename="simulated.zip"
    )
    platform.store.put_bytes(scores_lines(scored))
    made = evidence(world, line, scored, batch_id=claim.batch.batch_id)
    if names:
        part = made.comparisons[0].model_copy(update={"slice": names})
        made = made.model_copy(update={"contributor": names, "comparisons": (*made.comparisons, part)})
    put_evaluated(platform, made)
    return claim.batch.batch_id


def _read(platform: Platform, line: Line, batch_id: str) -> Evidence:
    report = platform.records.get(line.line, batch_id, "eval_report")
    assert isinstance(report, EvalReport)
    return gather(platform, line, batch_id, report)


def _platform(home: Path, line: Line) -> Platform:
    """Return a real platform of one line, with real databases, that serves the model production stands for."""
    platform = replace(open_platform(home), lines=lambda: [line])
    version = platform.versions.add(
        line.line, servable="a" * 64, model="f" * 64, batch_id=None, decision_id="first", parent_version=None
    )
    platform.versions.move(line.line, platform.versions.pointer(line.line), {"production": version.version})
    return platform


def _above(bound: float | None) -> bool:
    return bound is not None and bound > 0


def _share(hits: int, of: int, target: str = "") -> str:
    interval = binomtest(hits, of).proportion_ci(0.9)
    said = f"{hits / of:.2%} ({interval.low:.2%} to {interval.high:.2%})"
    return f"{said}; target {target}" if target else said


def _spread(work: Callable[[Any], Any], jobs: Sequence[Any], label: str, chunk: int = 10) -> Iterable[Any]:
    """Do jobs in as many processes as there are cores, in order, with a progress bar; few of them do not pay for it."""
    console = Console(stderr=True)
    if len(jobs) < 10 * chunk:
        return track(map(work, jobs), label, total=len(jobs), console=console)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        done = pool.map(work, jobs, chunksize=chunk)
        return list(track(done, label, total=len(jobs), console=console))


SECTIONS: dict[str, tuple[Callable[[int], dict[str, Any]], ...]] = {
    "a": (promotions, repeated),
    "b": (power,),
    "c": (seasons,),
    "d": (hostile,),
    "e": (cost,),
}


def main(arguments: Sequence[str]) -> None:
    """Run the sections asked for and print their figures."""
    logging.getLogger("mlops_assets").setLevel(logging.ERROR)  # every review is an alert
    only = next((after for word, after in pairwise(arguments) if word == "--only"), None)
    shrink = SHRINK if "--quick" in arguments else 1
    figures: dict[str, Any] = {}
    for name in only.split(",") if only else SECTIONS:
        for section in SECTIONS[name]:
            figures |= section(shrink)
    show(figures, "--json" in arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
