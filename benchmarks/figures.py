"""Run every benchmark; write what came out into `results.json`, docs/figures.md and the README: `make benchmarks`.

`python benchmarks/figures.py wer.py ingest.py` measures those anew and keeps the others' last results.
The figures of both pages are nothing but this file's rendering of `results.json`; a test compares them.
"""

import ast
import json
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
README = FOLDER.parent / "README.md"
PAGE = FOLDER.parent / "docs" / "figures.md"
RESULTS = FOLDER / "results.json"
NOT_A_FIGURE = {"alternate.py", "figures.py", "load.py", "simulated.py"}
HEADLINES = {
    "decisions": {
        "decision_quality.py": (
            "2000 candidates as good as production: wrongly approved",
            "of which a person is asked about",
            "power at the smallest detectable gain (speech, word error rate: 0.0205)",
            "40 seasons of 50 equals (bred candidates, a sealed set): wrong promotions",
            "500 hostile replies to the analyst: verdicts raised",
            "decisions replayed identically",
        ),
        "leaks.py": (
            "leaks found, all families, exact and edited",
            "false alarms among the items of the good sample batches",
        ),
    },
    "serving": {
        "canary.py": (
            "canary requests to rollback, errors of 2 % against 1 %",
            "canary requests to rollback, errors of 10 %",
            "canary requests to rollback, p50 times 3",
            "canary requests to rollback, 2 % of requests times 10",
            "canary requests to rollback, a constant class",
            "500 rollouts of the same version (everybody once): taken back",
        ),
        "gateway.py": (
            "requests a second, 16 connections",
            "p99 milliseconds at half of that, open loop",
            "milliseconds added at p50 to the model called directly, 1 connection",
            "milliseconds added at p50, 1 connection, where no CPU falls asleep",
            "requests while versions switched, half load",
            "of which not answered with 200",
            "seconds from a verdict to the canary's last answer",
        ),
        "gateway_peers.py": (
            "MLflow / gateway, time for the same requests, 16 connections",
            "LitServe / gateway, time for the same requests, 16 connections",
            "BentoML / gateway, time for the same requests, 16 connections",
        ),
        "durable_events.py": (
            "single events acknowledged a second over HTTP, 64 connections",
            "p99 milliseconds over HTTP, 64 connections",
            "events acknowledged a second over HTTP in batches of 100",
            "events acknowledged before kill -9",
            "of which were lost",
        ),
    },
    "figures": {
        "quality.py": (
            "speech: wer (lower is better)",
            "speech: human/wer (lower is better)",
            "intent: macro_f1 (higher is better)",
            "mango: accuracy (higher is better)",
            "preference: rmse (lower is better)",
        ),
        "preference_ratings.py": ("RMSE on real ratings, mean rating",),
        "text_intents.py": ("macro-F1 on templates never seen, gain over before",),
        "bootstrap.py": ("scipy percentile / compare()",),
        "macro_f1.py": ("scikit-learn loop / compare_all(), times",),
        "wer.py": ("jiwer / word_edits()",),
        "text_latency.py": ("torch / INT8, 66 M parameters, 64 tokens, one thread",),
        "vision.py": ("latency, floats / INT8",),
        "ingest.py": ("raw decode + sha256 / check, FLAC", "peak memory of a batch 16 times as large / small"),
        "orchestration.py": ("platform / plain script, a batch that trains about 15 s",),
    },
}


def benchmarks() -> list[Path]:
    """Return the files that print a figure."""
    return sorted(path for path in FOLDER.glob("*.py") if path.name not in NOT_A_FIGURE)


def machine() -> str:
    """Say what the figures were measured on, without naming anybody's host."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} shared cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, no GPU"


def measure(names: set[str]) -> dict[str, Any]:
    """Run benchmarks (all, if none is named), one after the other; one that fails stops everything."""
    known = {path.name for path in benchmarks()}
    if names - known:
        sys.exit(f"No such benchmark: {', '.join(names - known)}. There are: {', '.join(sorted(known))}.")
    figures = json.loads(RESULTS.read_text())["figures"] if RESULTS.exists() and names else {}
    figures = {name: figure for name, figure in figures.items() if name in known}
    for path in benchmarks():
        if names and path.name not in names:
            continue
        print(f"{path.name} ...", file=sys.stderr)
        done = subprocess.run([sys.executable, path, "--json"], stdout=subprocess.PIPE, check=True)
        figures[path.name] = json.loads(done.stdout)
    figures = dict(sorted(figures.items()))
    versions = f"Python {platform.python_version()}"
    return {"machine": machine(), "versions": versions, "date": f"{datetime.now(UTC):%Y-%m-%d}", "figures": figures}


def headlines(results: dict[str, Any]) -> dict[str, str]:
    """Return the README's blocks by name: the figures that a reader looks for first."""
    blocks: dict[str, str] = {}
    for block, files in HEADLINES.items():
        rows = [
            f"| {name} | {_cell(results['figures'][file][name])} | [{file}](benchmarks/{file}) |"
            for file, names in files.items()
            for name in names
        ]
        blocks[block] = _table(["Figure", "Measured", "File"], rows)
    blocks["figures"] = f"{_measured(results)}\n\n{blocks['figures']}"
    return blocks


def page(results: dict[str, Any]) -> str:
    """Return docs/figures.md: every figure, by benchmark, with the first sentence of what it says of itself."""
    parts = [
        "# Figures",
        f"{_measured(results)}\nTargets that were missed stand in the [README](../README.md#figures).",
    ]
    for file, found in results["figures"].items():
        about = (ast.get_docstring(ast.parse((FOLDER / file).read_text())) or "").partition("\n\n")[0]
        rows = [f"| {name} | {_cell(value)} |" for name, value in found.items()]
        parts += [f"## [{file}](../benchmarks/{file})", about, _table(["Figure", "Measured"], rows).rstrip()]
    return "\n\n".join(parts) + "\n"


def filled(page: str, results: dict[str, Any]) -> str:
    """Return the README with its blocks of figures rendered; the rest is left as it is."""
    for name, text in headlines(results).items():
        block = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        page = block.sub(lambda found, text=text: found[1] + text + found[2], page)
    return page


def _measured(results: dict[str, Any]) -> str:
    return (
        f"Measured on {results['date']}: {results['machine']}, {results['versions']}. Ratios: medians of alternating\n"
        "rounds with their 90 % interval. `make benchmarks` measures them again; each file says what it compares."
    )


def _table(head: list[str], rows: list[str]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *rows]) + "\n"


def _cell(value: Any) -> str:
    """Return a ratio with its 90 % interval, a plain number, or words."""
    if isinstance(value, dict):
        disturbed = "" if 0.95 <= value["control"] <= 1.05 else ", DISTURBED"
        return f"{value['median']:.3g} ({value['low']:.3g} to {value['high']:.3g}){disturbed}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure, and write results and both pages."""
    results = measure(set(sys.argv[1:]))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    PAGE.write_text(page(results))
    README.write_text(filled(README.read_text(), results))


if __name__ == "__main__":
    main()
