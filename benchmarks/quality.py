"""Each line before and after its good batch: the demo's own decisions, with intervals, origin and what stands beside.

It runs `mlops demo` on a home of its own (a few minutes; `MLOPS_HOME` names one that has run it already) and prints,
for each line that released something, the metric its policy decides by on the golden set, and on its suites: production
before, candidate after, one-sided 95 % bounds of the gain, the untouched base model, and the field's simple method on
the same data (mean colour for mangoes, TF-IDF with logistic regression for texts, user and item biases for ratings;
speech has none). No speed is measured here, so nothing is alternated.

Learned: the golden sets are synthetic, made by scripts whose classes overlap on purpose; the figures prove that the
loop learns, refuses and compares, not how good a model would be on anybody's users.
"""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from alternate import show


def demo(home: str, lines: list[str]) -> list[dict[str, Any]]:
    """Run the demo, or read its results, and return its batches as `mlops show` gives them."""
    command = [sys.executable, "-m", "mlops_assets.cli", "demo", *lines, "--json"]
    done = subprocess.run(command, env={**os.environ, "MLOPS_HOME": home}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def decisive(document: dict[str, Any]) -> list[str]:
    """Return the metric that decides, on the golden set and on every suite it was measured on."""
    command = [sys.executable, "-m", "mlops_assets.cli", "policy", "show", document["line"], "--json"]
    policy = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["policy"]
    name = policy["primary"]["metric"]
    return [key for key in document["metrics"] if key.rpartition("/")[2] == name and not key.startswith("holdout/")]


def sentence(found: dict[str, Any]) -> str:
    """Put one comparison into a cell of the README's table."""
    beside = [f"base {found['baseline']:.3f}"] if found["baseline"] is not None else []
    beside += [f"classical {found['classical']:.3f}"] if found["classical"] is not None else []
    gain = f"gain {found['lower']:+.3f} to {found['upper']:+.3f}" if found["lower"] is not None else "no bounds"
    parts = [gain, *beside, f"n={found['n']}", found["origin"]]
    return f"{found['production']:.3f} to {found['candidate']:.3f} ({', '.join(parts)})"


def main(lines: list[str], as_json: bool) -> None:
    """Run the tour, or the lines named, and print a row a line and set."""
    with tempfile.TemporaryDirectory() as folder:
        documents = demo(os.environ.get("MLOPS_HOME", folder), lines)
        figures: dict[str, Any] = {}
        for document in documents:
            for name in decisive(document) if document["deployment_status"] == "SUCCESS" else ():
                found = document["metrics"][name]
                direction = "higher" if found["higher_is_better"] else "lower"
                figures[f"{document['line']}: {name} ({direction} is better)"] = sentence(found)
    show(figures, as_json)


if __name__ == "__main__":
    named = [each for each in sys.argv[1:] if not each.startswith("--")]
    main(named or (["preference"] if "--quick" in sys.argv else []), "--json" in sys.argv)
