"""From an extracted batch to a dataset: every row is kept, or dropped with a numbered reason.

Quality, 0 to 10, is the mean over every row submitted: 10 for one without remark, less for one that is flagged
(`COSTS`), 0 for one that was dropped.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from mlops_assets.core.dataset import write_items
from mlops_assets.core.family import Checked, Progress, Report
from mlops_assets.core.records.data import Finding, Item, Origin
from mlops_assets.families.text import duplicates, rules
from mlops_assets.families.text.config import Config
from mlops_assets.families.text.findings import finding
from mlops_assets.families.text.labels import Targets, numbers, targets
from mlops_assets.families.text.rows import Judged, items, languages, origins
from mlops_assets.families.text.table import Table
from mlops_assets.families.text.tables import read_tables
from mlops_assets.families.text.words import sketches

COSTS = {"TXT030": 5.0, "TXT031": 1.0, "TXT032": 2.0, "TXT033": 5.0, "TXT034": 5.0, "TXT038": 5.0, "TXT039": 2.0}


def check(folder: Path, out: Path, config: Config, report: Report) -> Checked:
    """Check every row of the batch in `folder` and write the dataset `out`; see `Family.check`."""
    judged, findings = judge(folder, config)
    report(Progress(stage="check", done=len(judged.table), total=len(judged.table), text="rules applied"))
    kept = np.flatnonzero(judged.codes == "")
    shown = Counter[str]()
    written: set[Origin] = set()

    def counted() -> Iterator[Item]:
        for item in items(judged, kept, config):
            written.add(item.origin)
            shown.update(str(item.target).split(";"))
            yield item

    write_items(out, counted())
    total = len(judged.table) + sum(each.severity == "drop" for each in findings)
    findings += remarks(judged)
    if len(kept) and len(np.unique(judged.targets.positions[kept])) == 1:
        findings.append(finding("TXT037", detail=judged.targets.names[judged.targets.positions[kept[0]]]))
    return Checked(
        total=total,
        kept=len(kept),
        findings=tuple(findings),
        quality_score=round(float(quality(judged).sum()) / total, 2) if total else 0.0,
        origin=written.pop() if len(written) == 1 else "mixed" if written else "real",
        statistics=_statistics(judged, kept),
        labels={label: shown[label] for label in config.labels},
    )


def judge(folder: Path, config: Config) -> tuple[Judged, list[Finding]]:
    """Read a batch and apply every rule to its rows; the findings are those of rows that are in no table."""
    read = list(read_tables(folder, config))
    findings = [each for each in read if isinstance(each, Finding)]
    table = Table.joined([each for each in read if isinstance(each, Table)])
    text = rules.trimmed(table.column(config.text_column))
    found = targets({name: table.column(name) for name in config.required}, config)
    values = {name: numbers(table.columns[name]) for name in _numeric(config) if name in table.columns}
    reasons = rules.dropped(text, config)
    spoken, unreadable, foreign = languages(table, config)
    born = origins(table, config)
    reasons |= {"TXT015": _any([bad for _, bad in values.values()], len(table)), "TXT017": born.unknown}
    reasons["TXT018"] = unreadable
    flags = _flags(text, found, {name: each for name, (each, _) in values.items()}, foreign, config)
    for flag, drop, strict in (
        ("TXT030", "TXT016", config.doubtful_labels == "drop"),
        ("TXT032", "TXT023", config.personal_data == "drop"),
    ):
        if strict:
            reasons[drop] = flags.pop(flag)
    codes = found.codes
    for code, rows in reversed(reasons.items()):
        codes = np.where(rows, code, codes) if rows.any() else codes
    judged = Judged(
        table, text, found, codes, dict(found.details), flags, {k: v for k, (v, _) in values.items()}, born, spoken
    )
    return _without_repeats(judged, config), findings


def remarks(judged: Judged) -> list[Finding]:
    """Return a finding for every dropped row, and for every flag of a kept one, in the order of the rows."""
    found = []
    for row in np.flatnonzero(judged.codes != "").tolist():
        detail = judged.details.get(row) or judged.text[row].as_py()[:60]
        found.append((row, finding(str(judged.codes[row]), judged.table.where(row), detail)))
    for code, rows in judged.flags.items():
        for row in np.flatnonzero(rows & (judged.codes == "")).tolist():
            found.append((row, finding(code, judged.table.where(row), judged.details.get(row, ""))))
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]


def quality(judged: Judged) -> np.ndarray:
    """Return the points of each row, 0..10."""
    points = np.where(judged.codes == "", 10.0, 0.0)
    for code, rows in judged.flags.items():
        if rows.any():
            points = np.where(rows, np.minimum(points, 10.0 - COSTS[code]), points)
    return points


def _flags(
    text: pa.StringArray, found: Targets, values: dict[str, np.ndarray], foreign: np.ndarray, config: Config
) -> dict[str, np.ndarray]:
    none = np.zeros(len(text), bool)
    confidence, score = values.get(config.confidence_column), values.get(config.score_column)
    flags = {
        "TXT030": none if confidence is None else confidence < config.min_label_confidence,
        "TXT031": found.other_case,
        "TXT032": rules.personal(text),
        "TXT033": rules.damaged(text),
        "TXT034": foreign,
    }
    if score is not None and config.task == "binary" and config.labels[1] in found.names:
        yes = found.positions == found.names.index(config.labels[1])
        flags["TXT038"] = ~np.isnan(score) & (yes != (score >= config.threshold))
    return flags


def _without_repeats(judged: Judged, config: Config) -> Judged:
    """Drop what was said before, both sides of a dispute, and find what nearly was said before."""
    rows = np.flatnonzero(judged.codes == "")
    text = judged.text if len(rows) == len(judged.codes) else judged.text.take(pa.array(rows))
    of = judged.targets.positions[rows]
    order, least, counts = sketches(text)
    first, disputed = duplicates.repeats(order, of)
    codes, details = judged.codes.copy(), judged.details
    again = first != np.arange(len(rows))
    codes[rows[again]] = "TXT020"
    codes[rows[disputed]] = "TXT021"
    twins = dict(zip(rows[again].tolist(), rows[first[again]].tolist(), strict=True))
    fresh = np.where(again | disputed, 0, counts)
    close = duplicates.near(text, least, fresh, of, config.near_duplicate_share)
    twins |= {int(rows[row]): int(rows[other]) for row, other in close.items()}
    details |= {row: f"as {judged.table.where(other)}" for row, other in twins.items()}
    nearly = rows[list(close)] if close else np.zeros(0, int)
    flags = dict(judged.flags)
    if config.near_duplicates == "drop":
        codes[nearly] = "TXT022"
    else:
        flags["TXT039"] = np.isin(np.arange(len(codes)), nearly) if len(nearly) else np.zeros(len(codes), bool)
    return Judged(
        judged.table,
        judged.text,
        judged.targets,
        codes,
        details,
        flags,
        judged.numbers,
        judged.origins,
        judged.languages,
    )


def _numeric(config: Config) -> tuple[str, ...]:
    return (config.confidence_column, config.score_column) if config.task == "binary" else (config.confidence_column,)


def _any(masks: list[np.ndarray], rows: int) -> np.ndarray:
    return np.any(masks, axis=0) if masks else np.zeros(rows, bool)


def _statistics(judged: Judged, kept: np.ndarray) -> dict[str, float]:
    import pyarrow.compute as pc

    length = pc.utf8_length(judged.text).to_numpy()[kept]  # pyright: ignore[reportAttributeAccessIssue]
    if not len(length):
        return {"messages": 0.0}
    return {
        "messages": float(len(kept)),
        "median_characters": float(np.median(length)),
        "longest_characters": float(length.max()),
    }
