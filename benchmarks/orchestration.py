"""What the platform costs: a chain with next to no work in it, and a long training beside a plain script.

Targets: under 1.5 s a chain beyond starting the process, and at most 1.05 times a plain script for a batch that trains
for a minute. It is measured on one that trains 15 s, so the ratio for a minute is not known, only expected lower. The
plain script runs the same tasks (check, train, score) by the family alone, in one process, without records, store,
MLflow, Dagster or ledger. Both sides make a new batch each time.

Learned: Dagster and the records are the small part. A chain starts a process for the check, the training and every
system that is scored, which is most of what it costs beyond a script, and it scores production, baseline and holdout,
which a script does not. The first chain of a fresh home also makes MLflow's tables (4 s) and imports MLflow (3 s); it
is not timed. To 15 s of training it added 6.3 s in one quiet run (ratio 1.39) and 1.6 s in the next (1.19).
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from alternate import alternate, seconds, show

from mlops_assets import worker
from mlops_assets.components.running import run_batch
from mlops_assets.core.dataset import read_items
from mlops_assets.core.family import Progress
from mlops_assets.core.line import EvaluationSet, Line
from mlops_assets.core.policy import Gates, Margin, Policy
from mlops_assets.core.tasks import BaseTask, CheckTask, ScoreTask, TrainTask
from mlops_assets.lifecycle.intake.ingest import ingest
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings

TOPICS = ("music", "sport", "weather")


def write_texts(folder: Path, count: int, seed: int) -> Path:
    """Write labelled texts, all different."""
    draw = random.Random(seed)
    folder.mkdir(parents=True)
    with (folder / "texts.jsonl").open("w") as file:
        for at in range(count):
            topic = TOPICS[at % len(TOPICS)]
            words = [f"{topic}{draw.randrange(40)}", *(f"word{draw.randrange(9999)}" for _ in range(8))]
            file.write(json.dumps({"text": " ".join(words), "label": topic, "origin": "synthetic"}) + "\n")
    return folder


class Bench:
    """A platform in a folder of its own, and the same work by a plain script."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.golden = write_texts(root / "golden", 60, seed=0)
        self.line = Line(
            line="bench",
            family="baseline",
            config={"labels": list(TOPICS)},
            golden=EvaluationSet(path=str(self.golden), origin="synthetic"),
            policy=Policy(
                primary=Margin(metric="accuracy", margin=0.02),
                gates=Gates(max_latency_ratio=1000, max_size_ratio=1000),
                bootstrap="approve",
            ),
        )
        os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
        self.platform = open_platform(Settings(root=root, home=root / "home"))
        self.made = 0

    def batch(self, items: int) -> Path:
        """Write a new batch."""
        self.made += 1
        return write_texts(self.root / "batches" / str(self.made), items, seed=self.made)

    def chain(self, items: int) -> str:
        """Take a new batch through the platform; return its id."""
        record, _ = ingest(self.platform, self.line, self.batch(items), contributor="bench", source="cli")
        outcome = run_batch(self.platform, self.line, record.batch_id)
        assert outcome.success, outcome.error
        return record.batch_id

    def again(self, batch_id: str) -> None:
        """Materialize the chain of a batch whose records all stand: every asset body finds its work done."""
        assert run_batch(self.platform, self.line, batch_id).success

    def script(self, items: int) -> None:
        """Check, train and score a new batch by the family alone."""
        folder, out = self.batch(items), self.root / "script" / str(self.made)
        fields = {"family": "baseline", "config": self.line.config, "progress": str(out / "progress.jsonl")}

        def report(progress: Progress) -> None:
            del progress

        data, golden, base = out / "data", out / "golden", out / "base"
        for source, target in ((folder, data), (self.golden, golden)):
            worker.run(CheckTask(folder=str(source), out=str(target), **fields), report)
        worker.run(BaseTask(model=str(base), servable=str(out / "servable"), **fields), report)
        run_dir = out / "run"
        train = TrainTask(
            data=str(data), held_out=str(golden), parent=str(base), seed=1, run_dir=str(run_dir), **fields
        )
        worker.run(train, report)
        score = ScoreTask(
            servable=str(run_dir / "servable"), datasets={"golden": str(golden)}, out=str(out / "scores"), **fields
        )
        worker.run(score, report)
        assert read_items(data)


def items_for(bench: Bench, wanted: float) -> int:
    """Return how many texts train for `wanted` seconds; the baseline's checkpoints grow, so its cost is quadratic."""
    items = 1_500
    took = seconds(lambda: bench.script(items))
    return int(items * (wanted / took) ** 0.5)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="5 s of training instead of 15")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        batch_id = bench.chain(60)
        bodiless = sorted(seconds(lambda: bench.again(batch_id)) for _ in range(5))
        chains = sorted(seconds(lambda: bench.chain(60)) for _ in range(5))
        cpu = time.process_time()
        bench.chain(60)
        figures = {
            "seconds of a chain whose bodies find their work done (median of 5)": bodiless[2],
            "seconds of a chain with next to no work, its processes started (median of 5)": chains[2],
            "of which the platform's own process computes": time.process_time() - cpu,
        }
        trains = 5 if chosen.quick else 15
        items = items_for(bench, trains)
        ratio = alternate(lambda: bench.chain(items), lambda: bench.script(items), rounds=5)
        figures[f"platform / plain script, a batch that trains about {trains} s"] = ratio
        figures["seconds the platform adds to it"] = ratio.a_seconds - ratio.b_seconds
        show(figures, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
