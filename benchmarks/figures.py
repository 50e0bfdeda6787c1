"""Run every benchmark and write what came out into `results.json` and the README: `make benchmarks`.

`python benchmarks/figures.py wer.py ingest.py` measures those anew and keeps the others' last results.
The README's figures are nothing but this file's rendering of `results.json`; a test compares the two.
"""

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
RESULTS = FOLDER / "results.json"
NOT_A_FIGURE = {"alternate.py", "figures.py", "load.py", "simulated.py"}
ELSEWHERE = {
    "decisions": {"decision_quality.py", "leaks.py"},
    "serving": {"canary.py", "durable_events.py", "gateway.py", "gateway_peers.py"},
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


def render(results: dict[str, Any]) -> dict[str, str]:
    """Return the README's blocks by name: some stand with what they are about, the others under Figures."""
    figures = results["figures"]
    apart = {file for files in ELSEWHERE.values() for file in files}
    return {
        **{name: _table({file: figures[file] for file in sorted(files)}) for name, files in ELSEWHERE.items()},
        "figures": f"Measured on {results['date']}: {results['machine']}, {results['versions']}. Ratios: medians of "
        "alternating\nrounds with their 90 % interval. `make benchmarks` measures them again; each file says what it "
        "compares.\n\n" + _table({file: figures[file] for file in figures if file not in apart}),
    }


def filled(page: str, results: dict[str, Any]) -> str:
    """Return a page with its blocks of figures rendered; the rest is left as it is."""
    for name, text in render(results).items():
        block = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        page = block.sub(lambda found, text=text: found[1] + text + found[2], page)
    return page


def _table(figures: dict[str, dict[str, Any]]) -> str:
    """Return one row a figure: a ratio with its 90 % interval, a plain number, or words."""
    rows = [
        f"| {name} | {_cell(value)} | [{file}](benchmarks/{file}) |"
        for file, found in figures.items()
        for name, value in found.items()
    ]
    return "\n".join(["| Figure | Measured | File |", "| --- | --- | --- |", *rows]) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        disturbed = "" if 0.95 <= value["control"] <= 1.05 else ", DISTURBED"
        return f"{value['median']:.3g} ({value['low']:.3g} to {value['high']:.3g}){disturbed}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure, and write results and README."""
    results = measure(set(sys.argv[1:]))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    README.write_text(filled(README.read_text(), results))


if __name__ == "__main__":
    main()
