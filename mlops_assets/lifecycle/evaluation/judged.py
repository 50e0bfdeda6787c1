"""What a version answered when it was judged, so that whoever serves it can see that it still answers the same."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydantic import JsonValue

from mlops_assets.core.dataset import item_input, iterate_items
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.evaluation import EvalReport

LATEST = 20  # batches whose evaluation is looked at, when the version's own does not tell


@dataclass(frozen=True)
class Judged:
    """The first inputs of a golden set, and what the version answered; no answers where nobody judged it."""

    inputs: tuple[Path | JsonValue, ...] = ()
    answers: tuple[JsonValue, ...] = ()


def judged(platform: Platform, line: Line, version: Version, *, items: int) -> Judged:
    """Return what is known of a version on at most `items` golden items; real inputs even where it was not judged."""
    known = Judged()
    for report in _reports(platform, line, version):
        golden = next((each for each in report.sets if each.kind == "golden"), None)
        if golden is None or not (platform.store.has(golden.dataset) and platform.store.has(golden.scores)):
            continue
        system = next((name for name, each in report.systems.items() if each.servable == version.servable), None)
        if system is None and known.inputs:
            continue
        folder = platform.store.folder(golden.dataset)
        inputs = tuple(item_input(folder, item) for item in islice(iterate_items(folder), items))
        if system is None:
            known = Judged(inputs)
            continue
        with platform.store.file(golden.scores).open(encoding="utf-8") as file:
            scores = [json.loads(each)["systems"] for each in islice(file, items)]
        if all(system in each for each in scores):
            return Judged(inputs, tuple(each[system]["prediction"] for each in scores))
        known = known if known.inputs else Judged(inputs)
    return known


def _reports(platform: Platform, line: Line, version: Version) -> Iterator[EvalReport]:
    """Yield the evaluation of the version's own batch, then those of the latest batches."""
    latest = [each.batch_id for each in reversed(platform.batches.list(line.line)[-LATEST:])]
    own = [version.batch_id] if version.batch_id else []
    for batch_id in [*own, *(each for each in latest if each not in own)]:
        report = platform.records.get(line.line, batch_id, "eval_report")
        if isinstance(report, EvalReport):
            yield report
