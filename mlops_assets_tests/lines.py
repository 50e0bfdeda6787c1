"""A whole model line small enough for tests: texts of three topics, for the baseline family.

Each topic has forty words of its own; a text holds two of them and six words that say nothing. So a batch with right
labels teaches, one with wrong labels harms, and one without topic words changes nothing. Everything is drawn from
fixed seeds.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

from mlops_assets.core.line import EvaluationSet, Limits, Line, Suite
from mlops_assets.core.policy import Gates, Margin, Policy

TOPICS = ("music", "sport", "weather")
GOLDEN_ITEMS, GOLDEN_USERS = 60, 20
Row = dict[str, str]


def baseline_line(tmp_path: Path, *, name: str = "topics", **changes: object) -> Line:
    """Return a line whose golden set and critical suite are written under `tmp_path`.

    Millisecond timings and byte counts say nothing about a model of a few kilobytes, so their gates are wide open. So
    is that on failed samples: the base model has the first label right on every text, the next model not always.
    """
    golden, critical = tmp_path / "golden" / name, tmp_path / "critical" / name
    write_rows(golden / "texts.jsonl", texts(101, GOLDEN_ITEMS, users=GOLDEN_USERS))
    write_rows(critical / "texts.jsonl", texts(102, 30, users=10))
    line = Line(
        line=name,
        family="baseline",
        description="Topics of short texts",
        owners=("team:tests",),
        config={"labels": list(TOPICS), "memory": 0.9},
        golden=EvaluationSet(path=str(golden), origin="synthetic"),
        suites=(Suite(name="critical", type="critical", path=str(critical), origin="synthetic"),),
        limits=Limits(minutes=2, memory_gb=2),
        policy=Policy(
            primary=Margin(metric="accuracy", margin=0.02),
            gates=Gates(max_latency_ratio=1000, max_size_ratio=1000, max_failed_samples_rate=0.4),
            resamples=1000,
            bootstrap="approve",
        ),
    )
    return line.model_copy(update=changes)


def good_batch(folder: Path, *, seed: int = 1, items: int = 120) -> Path:
    """Write a batch with right labels and return its folder: from the base model it is a clear gain."""
    return _batch(folder, texts(seed, items))


def wrong_batch(folder: Path, *, seed: int = 2, items: int = 200) -> Path:
    """Write a batch whose every label is another topic's: after a good batch it is a clear loss."""
    following: dict[str, str] = dict(zip(TOPICS, (*TOPICS[1:], TOPICS[0]), strict=True))
    return _batch(folder, [row | {"label": following[row["label"]]} for row in texts(seed, items)])


def small_batch(folder: Path, *, seed: int = 3, items: int = 6) -> Path:
    """Write a batch of a few texts without a topic word: after a good batch nothing can be concluded."""
    return _batch(folder, texts(seed, items, topic_words=0))


def broken_batch(folder: Path, *, seed: int = 4, items: int = 40) -> Path:
    """Write a batch of which every third row cannot be used: more than a line drops without asking."""
    rows = texts(seed, items)
    return _batch(folder, [row | {"label": "cookery"} if at % 3 == 0 else row for at, row in enumerate(rows)])


def leaky_batch(folder: Path, *, seed: int = 5, items: int = 120, leaks: int = 4) -> Path:
    """Write a good batch into which texts of the golden set have slipped: as they are, in capitals, or longer."""
    edits = (str, str.upper, lambda text: f"{text} indeed")
    golden = texts(101, GOLDEN_ITEMS)[:leaks]
    edited = [row | {"text": edits[at % 3](row["text"])} for at, row in enumerate(golden)]
    return _batch(folder, texts(seed, items) + edited)


BATCHES: dict[str, Callable[[Path], Path]] = {
    "good": good_batch,
    "wrong": wrong_batch,
    "small": small_batch,
    "broken": broken_batch,
    "leaky": leaky_batch,
}


def texts(seed: int, count: int, *, users: int = 0, topic_words: int = 2) -> list[Row]:
    """Return `count` labelled texts, all different, the topics in turn; `users` shares them out."""
    chance = random.Random(seed)
    rows = []
    for at in range(count):
        topic = TOPICS[at % len(TOPICS)]
        own = [f"{topic}{chance.randrange(40)}" for _ in range(topic_words)]
        words = own + [f"word{chance.randrange(400)}" for _ in range(6)]
        chance.shuffle(words)
        row = {"text": " ".join(words), "label": topic, "origin": "synthetic"}
        rows.append(row | {"user": f"user{at % users}"} if users else row)
    return rows


def write_rows(path: Path, rows: list[Row]) -> Path:
    """Write rows as JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _batch(folder: Path, rows: list[Row]) -> Path:
    write_rows(folder / "texts.jsonl", rows)
    return folder
