"""How soon a harmful version is taken back, and how often a harmless one: simulated users through the real judge.

a. Faults at the first step (10 % of users), each user one request: canary requests until it is taken back, those of a
   process that has just begun among them. Errors of 2, 3, 5 and 10 % against 1 %; all answers, or 2 % of them, slower;
   labels constant or shuffled.
b. Two versions that are the same, through all steps of the default policy until they are promoted: at most 1 % of 500
   may be taken back. Once where every request is of somebody else, and once with heavy users (requests by a Pareto
   distribution) who each have an error rate, a speed and a favourite label of their own.
c. A version that is worse by exactly the margin: at most 5 % may be promoted, for each of errors and latency.
d. How many answers the judge takes in a second, and a whole look at a line: read, counted, judged and stored.

Beside b stands what a z-test at 1 % does that is looked at as often. Nothing is re-implemented: answers go through
`core.canary` and `core.rollout_verdict` with a line's defaults. Intervals are exact binomial ones, 90 %.
`--only a b` runs some sections, `--part 20` a twentieth of each (all of it takes eight minutes on two cores).
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process per core instead

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from alternate import show
from rich.console import Console
from rich.progress import track
from scipy.stats import binomtest, norm

from mlops_assets.core import canary, latencies
from mlops_assets.core.canary import Expected, Seen, Trial
from mlops_assets.core.events import COLD_ANSWERS, Prediction
from mlops_assets.core.line import EvaluationSet, Line, Release
from mlops_assets.core.policy import Margin, Policy
from mlops_assets.core.rollout_verdict import judge
from mlops_assets.core.serving import Rollout
from mlops_assets.lifecycle.monitoring.watching import look
from mlops_assets_tests.lifecycle.decide.evaluated import open_platform

SEED = 20_261_121
POLICY = Release(deployment_strategy="canary")
LABELS = ("one", "two", "three")
RATE = 10.0  # requests a second
LOOK = 100  # requests between two looks while a rollout goes step by step; half as many while a fault is waited for
GOLDEN_DISAGREEMENT = 0.05  # two versions that differ as much as an improvement does
STABLE_ERRORS = 0.01
FAULTS, HARMLESS, ON_MARGIN = 200, 500, 100
NAIVE_ALPHA = 0.01


@dataclass(frozen=True)
class World:
    """Users, and what the new version does to them that the old one does not.

    `errors` are added to 1 %; `slower` is the factor of `slow_share` of its answers; `labels` what it does to labels.
    `users` 0: every request is of somebody else; else so many, heavy ones with habits of their own.
    """

    name: str
    errors: float = 0.0
    slower: float = 1.0
    slow_share: float = 1.0
    labels: str = ""
    users: int = 0
    stepping: bool = False
    most: int = 25_000


@dataclass(frozen=True)
class Ended:
    """How a rollout ended after so many canary requests, and whether the naive test would have taken it back."""

    verdict: str
    requests: int
    naive: bool


class Traffic:
    """Draws requests: who, and how either version answers."""

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        self.world, self.rng = world, rng
        if world.users:
            weights = rng.pareto(1.2, world.users) + 0.05
            self.weights = weights / weights.sum()
            self.place = rng.random(world.users)
            self.rates = np.minimum(STABLE_ERRORS * rng.gamma(0.2, 5, world.users), 0.5)
            self.speeds = np.exp(rng.normal(0, 0.3, world.users))
            self.likes = rng.dirichlet([0.5] * len(LABELS), world.users)
        self.count = 0

    def draw(self, n: int, share: float) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray, np.ndarray]:
        """Return arm, user, failure, milliseconds and label of each of `n` requests."""
        rng, world = self.rng, self.world
        if world.users:
            who = rng.choice(world.users, n, p=self.weights)
            arm, rate, speed = self.place[who] < share, self.rates[who], self.speeds[who]
            label = (rng.random(n)[:, None] > np.cumsum(self.likes[who], axis=1)).sum(axis=1)
            names = [f"user{each}" for each in who]
        else:
            arm, rate, speed = rng.random(n) < share, np.full(n, STABLE_ERRORS), np.ones(n)
            label = rng.integers(0, len(LABELS), n)
            names = [f"request{self.count + at}" for at in range(n)]
        self.count += n
        failed = rng.random(n) < rate + arm * world.errors
        milliseconds = speed * np.exp(rng.normal(np.log(20), 0.4, n))
        milliseconds = np.where(arm & (rng.random(n) < world.slow_share), milliseconds * world.slower, milliseconds)
        return arm, names, failed, milliseconds, self._labels(arm, np.minimum(label, len(LABELS) - 1))

    def _labels(self, arm: np.ndarray, label: np.ndarray) -> np.ndarray:
        other = (label + 1) % len(LABELS)
        changed = np.where(self.rng.random(len(label)) < GOLDEN_DISAGREEMENT, other, label)
        match self.world.labels:
            case "constant":
                changed = np.zeros_like(label)
            case "shifted":
                changed = other
        return np.where(arm, changed, label)


def play(job: tuple[World, int]) -> Ended:
    """Play one rollout to its end, looked at every `LOOK` requests."""
    world, seed = job
    rng = np.random.default_rng([SEED, seed])
    traffic = Traffic(world, rng)
    before: dict[int, float] = {}
    for each in traffic.draw(3_000, 0.0)[3]:
        bin_ = latencies.bin_of(each)
        before[bin_] = before.get(bin_, 0) + 1
    expected = Expected(disagreement=GOLDEN_DISAGREEMENT, labels=dict.fromkeys(LABELS, 0.0))
    trial = canary.step(canary.begin(expected, POLICY.disagreement_margin, before), POLICY.steps[0])
    minutes = step_minutes = 0.0
    naive = False
    look = LOOK if world.stepping else LOOK // 2
    while traffic.count < world.most:
        share = trial.steps[-1].share
        arm, who, failed, milliseconds, label = traffic.draw(look, share)
        seen = [
            Seen(bool(a), w, bool(f), float(ms), None if f else LABELS[at], cold=bool(a and begun <= COLD_ANSWERS))
            for a, w, f, ms, at, begun in zip(
                arm, who, failed, milliseconds, label, trial.total("canary").requests + arm.cumsum(), strict=True
            )
        ]
        trial = canary.observe(trial, seen)
        trial = canary.compared(trial, _pairs(traffic, seen))
        minutes += look / RATE / 60
        step_minutes += look / RATE / 60
        naive |= _naive(trial)
        judged = judge(trial, POLICY, minutes=minutes, step_minutes=step_minutes)
        if judged.verdict != "INCONCLUSIVE":
            return Ended(judged.verdict, trial.total("canary").requests, naive)
        if judged.broken:
            return Ended("BROKEN", trial.total("canary").requests, naive)
        if judged.advance and world.stepping:
            trial, step_minutes = canary.step(trial, POLICY.steps[len(trial.steps)]), 0.0
    return Ended("INCONCLUSIVE", trial.total("canary").requests, naive)


def _pairs(traffic: Traffic, seen: Sequence[Seen]) -> list[tuple[str, bool]]:
    """Copy a part of the requests to the other version."""
    wrong = {"constant": 2 / 3, "shifted": 1.0}.get(traffic.world.labels, GOLDEN_DISAGREEMENT)
    copied = traffic.rng.random(len(seen)) < POLICY.shadow_percentage
    differs = traffic.rng.random(len(seen)) < wrong
    return [(each.who, not d) for each, c, d in zip(seen, copied, differs, strict=True) if c]


def _naive(trial: Trial) -> bool:
    """Say whether a z-test for two proportions would take the version back now, for errors or slow answers."""
    ours, theirs = trial.total("canary"), trial.total("stable")
    if not ours.timed or not theirs.timed:
        return False
    pairs = [
        (ours.errors, ours.requests, theirs.errors, theirs.requests),
        (ours.over_p99, ours.timed, theirs.over_p99, theirs.timed),
    ]
    for hits, n, other, m in pairs:
        rate = (hits + other) / (n + m)
        spread = np.sqrt(rate * (1 - rate) * (1 / n + 1 / m))
        if spread and norm.sf((hits / n - other / m) / spread) < NAIVE_ALPHA / len(pairs):
            return True
    return False


def faults(shrink: int = 1) -> dict[str, Any]:
    """Section a."""
    wanted = [
        (World("errors of 2 % against 1 %", errors=0.01), 1_800),
        (World("errors of 3 %", errors=0.02), 500),
        (World("errors of 5 %", errors=0.04), 200),
        (World("errors of 10 %", errors=0.09), 100),
        (World("p50 times 3", slower=3.0), 500),
        (World("2 % of requests times 10", slower=10.0, slow_share=0.02), 500),
        (World("a constant class", labels="constant"), 1_000),
        (World("labels shifted", labels="shifted"), 1_000),
        (World("errors of 10 %, 500 users, heavy ones", errors=0.09, users=500, most=20_000), 0),
        (World("p50 times 3, 500 users, heavy ones", slower=3.0, users=500, most=20_000), 0),
    ]
    figures: dict[str, Any] = {}
    for world, target in wanted:
        count = FAULTS // shrink
        ended = list(_spread(play, [(world, seed) for seed in range(count)], world.name))
        taken = [each.requests if each.verdict == "ROLL_BACK" else world.most for each in ended]
        low, middle, high = np.quantile(taken, [0.1, 0.5, 0.9])
        said = f"; target {target:,}" if target else ""
        figures[f"canary requests to rollback, {world.name}"] = (
            f"median {middle:,.0f} (10 % to 90 %: {low:,.0f} to {high:,.0f}{said})"
        )
    return figures


def harmless(shrink: int = 1) -> dict[str, Any]:
    """Section b."""
    figures: dict[str, Any] = {}
    for world in (
        World("everybody once", stepping=True),
        World("2,000 users, heavy ones", users=2_000, stepping=True),
    ):
        count = HARMLESS // shrink
        ended = list(_spread(play, [(world, 10_000 + seed) for seed in range(count)], f"the same, {world.name}"))
        by = {verdict: sum(each.verdict == verdict for each in ended) for verdict in {each.verdict for each in ended}}
        promoted = [each.requests for each in ended if each.verdict == "PROMOTE"]
        what = f"{count} rollouts of the same version ({world.name})"
        figures[f"{what}: taken back"] = _share(by.get("ROLL_BACK", 0), count, "at most 1 %")
        figures[f"{what}: a z-test at 1 % would have"] = _share(sum(each.naive for each in ended), count)
        figures[f"{what}: promoted, of the others undecided, split called broken"] = (
            f"{len(promoted)} after {np.median(promoted) if promoted else 0:,.0f} canary requests (median), "
            f"{by.get('INCONCLUSIVE', 0)}, {by.get('BROKEN', 0)}"
        )
    return figures


def on_margin(shrink: int = 1) -> dict[str, Any]:
    """Section c."""
    figures: dict[str, Any] = {}
    slow = World("2 % more answers over p99", slower=10.0, slow_share=POLICY.latency_margin / 0.98, stepping=True)
    for world in (World("1 % more errors", errors=POLICY.error_margin, stepping=True), slow):
        count = ON_MARGIN // shrink
        few = replace(world, most=25_000)
        ended = list(_spread(play, [(few, 20_000 + seed) for seed in range(count)], world.name))
        wrong = sum(each.verdict == "PROMOTE" for each in ended)
        figures[f"worse by the margin ({world.name}): promoted"] = _share(wrong, count, "at most 5 %")
    return figures


def pace(shrink: int = 1) -> dict[str, Any]:
    """Section d."""
    traffic = Traffic(World("pace", users=5_000), np.random.default_rng(SEED))
    trial = canary.step(canary.begin(Expected(), 0.15, {}), 0.1)
    arm, who, failed, milliseconds, label = traffic.draw(200_000 // shrink, 0.1)
    seen = [
        Seen(bool(a), w, bool(f), float(ms), None if f else LABELS[at])
        for a, w, f, ms, at in zip(arm, who, failed, milliseconds, label, strict=True)
    ]
    begun = perf_counter()
    for at in range(0, len(seen), 4_000):
        trial = canary.observe(trial, seen[at : at + 4_000])
    judged = len(seen) / (perf_counter() - begun)
    return {
        "answers the judge takes in a second, in pieces of 4,000": round(judged, -3),
        "predictions that `mlops watch` takes in a second, from SQLite to its state": round(
            _looked(len(seen) // 4), -3
        ),
    }


def _looked(count: int) -> float:
    """Return how many stored predictions of a rollout a look takes in a second; the gateway gives at most 4,000."""
    with TemporaryDirectory() as home:
        golden = EvaluationSet(path="golden", origin="synthetic")
        policy = Policy(primary=Margin(metric="accuracy", margin=0.02))
        line = Line(line="simulated", family="baseline", golden=golden, policy=policy)
        platform = replace(open_platform(Path(home)), lines=lambda: [line])
        for name in ("a", "b"):
            platform.versions.add(
                line.line, servable=name * 64, model=name * 64, batch_id=None, decision_id=name, parent_version=None
            )
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        rollout = Rollout(
            strategy="canary", version=2, against=1, step=0, share=0.1, shadow=0, began_at=at, stepped_at=at
        )
        pointer = platform.versions.pointer(line.line)
        platform.versions.move(line.line, pointer, {"production": 1, "canary": 2}, rollout)
        chance = np.random.default_rng(SEED)
        for began in range(0, count, 1_000):
            canaries = chance.random(min(1_000, count - began)) < 0.1
            events = [
                Prediction(
                    event_id=f"{began + each}",
                    user=f"user{chance.integers(5_000)}",
                    version=2 if new else 1,
                    arm="canary" if new else "production",
                    latency_ms=float(chance.lognormal(3, 0.4)),
                    success=bool(chance.random() > STABLE_ERRORS),
                )
                for each, new in enumerate(canaries)
            ]
            platform.events.append(line.line, events)
        begun = perf_counter()
        taken = 0
        while (looked := look(platform, line, datetime.now(UTC))).events:
            taken += looked.events
        assert taken == count, f"{taken} of {count}"
        return count / (perf_counter() - begun)


def _share(hits: int, of: int, target: str = "") -> str:
    interval = binomtest(hits, of).proportion_ci(0.9)
    said = f"{hits / of:.2%} ({interval.low:.2%} to {interval.high:.2%})"
    return f"{said}; target {target}" if target else said


def _spread(work: Callable[[Any], Any], jobs: Sequence[Any], label: str) -> Iterable[Any]:
    """Do jobs in as many processes as there are cores, in order, with a progress bar."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(track(pool.map(work, jobs, chunksize=5), label, total=len(jobs), console=Console(stderr=True)))


SECTIONS: dict[str, Callable[[int], dict[str, Any]]] = {"a": faults, "b": harmless, "c": on_margin, "d": pace}


def main() -> None:
    """Run the sections asked for and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="sections; all by default")
    parser.add_argument("--part", type=int, default=1, help="simulate one of so many rollouts")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    asked = parser.parse_args()
    figures: dict[str, Any] = {}
    for name in asked.only:
        figures |= SECTIONS[name](asked.part)
    show(figures, asked.json)


if __name__ == "__main__":
    main()
