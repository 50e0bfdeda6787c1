"""The sets a line is judged on, as datasets: made by the same check as a batch, and forgiven nothing.

A golden set that loses an item to a check is another golden set, so a dropped item is an error for its owner, not a
remark. The result is kept by the digest of the folder and of what checked it.
"""

import re
import uuid

from mlops_assets.core.digests import sha256_folder, sha256_json
from mlops_assets.core.errors import ConfigError
from mlops_assets.core.line import EvaluationSet, Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.data import Finding, Origin
from mlops_assets.core.records.evaluation import SetKind
from mlops_assets.lifecycle.intake.checking import Examined, examined

GOLDEN, SEALED = "golden", "sealed"
RESERVED = (GOLDEN, SEALED, "holdout")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}")
SHOWN = 10


class EvaluationDataset(Record):
    """A set as it is scored."""

    name: str
    kind: SetKind
    origin: Origin
    dataset: str


def evaluation_sets(platform: Platform, line: Line) -> list[EvaluationDataset]:
    """Return the golden set and the regression suites of a line as stored datasets.

    An optional set that is not installed is left out. ConfigError for a missing required one, for one whose items do
    not all pass the family's check, and for one said to be real that holds synthetic items.
    """
    named: list[tuple[str, SetKind, EvaluationSet]] = [(GOLDEN, "golden", line.golden)]
    for suite in line.suites:
        if not NAME.fullmatch(suite.name) or suite.name in (*RESERVED, *(name for name, _, _ in named[1:])):
            raise ConfigError(
                f"A suite of {line.line} cannot be named '{suite.name}'.",
                f"Use small letters, digits, '-' and '_', each name once, and not {' or '.join(RESERVED)}.",
            )
        named.append((suite.name, suite.type, suite))
    sets = []
    for name, kind, declared in named:
        dataset = _dataset(platform, line, name, declared)
        if dataset is not None:
            sets.append(EvaluationDataset(name=name, kind=kind, origin=declared.origin, dataset=dataset))
    return sets


def sealed_set(platform: Platform, line: Line) -> EvaluationDataset | None:
    """Return the line's sealed set, None if it has none; it is only scored to confirm a would-be promotion.

    ConfigError as for `evaluation_sets`.
    """
    dataset = _dataset(platform, line, SEALED, line.sealed) if line.sealed else None
    if line.sealed is None or dataset is None:
        return None
    return EvaluationDataset(name=SEALED, kind="sealed", origin=line.sealed.origin, dataset=dataset)


def protected_sets(platform: Platform, line: Line) -> list[EvaluationDataset]:
    """Return every set that no batch may hold an item of: the evaluated ones and the sealed one."""
    sealed = sealed_set(platform, line)
    return [*evaluation_sets(platform, line), *([sealed] if sealed else [])]


def _dataset(platform: Platform, line: Line, name: str, declared: EvaluationSet) -> str | None:
    folder = platform.root / declared.path
    if not folder.is_dir():
        if declared.optional:
            return None
        raise ConfigError(
            f"The set '{name}' of {line.line} is missing: there is no folder {folder}.",
            "Correct its path, or fetch it (see data/README.md).",
        )
    key = sha256_json(
        [sha256_folder(folder), line.family, line.config, declared.origin, platform.code_version(line.family)]
    )
    known = platform.home / "cache" / "evaluation" / key
    if known.exists() and platform.store.has(dataset := known.read_text(encoding="utf-8")):
        return dataset
    work, progress = f"set-{name}-{key[:12]}", platform.home / "progress" / line.line / f"set-{name}.jsonl"
    with examined(platform, line, folder, name=work, filename=name, progress=progress) as seen:
        _refuse(line, name, declared, seen)
        dataset = platform.store.put_folder(seen.dataset)
    known.parent.mkdir(parents=True, exist_ok=True)
    partial = known.with_name(f"{key}.{uuid.uuid4().hex}")
    partial.write_text(dataset, encoding="utf-8")
    partial.replace(known)
    return dataset


def _refuse(line: Line, name: str, declared: EvaluationSet, seen: Examined) -> None:
    """Raise ConfigError unless every item passed and is of the origin that was declared."""
    where = f"The set '{name}' of {line.line} ({declared.path})"
    if seen.failure is not None:
        raise ConfigError(f"{where} could not be checked. {seen.failure.what}", seen.failure.todo) from seen.failure
    findings = [*seen.unpacked.findings, *(seen.checked.findings if seen.checked else ())]
    wrong = [found for found in findings if found.severity != "flag"]
    if wrong:
        shown = "; ".join(_say(found) for found in wrong[:SHOWN])
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ConfigError(f"{where} has items that cannot be used: {shown}{more}.", "Correct or remove them.")
    if seen.checked is None or seen.checked.kept == 0:
        raise ConfigError(f"{where} is empty.", "Fill it, or remove it from the line.")
    if declared.origin == "real" and seen.checked.origin != "real":
        raise ConfigError(f"{where} is declared real and holds synthetic items.", "Declare it as it is.")


def _say(found: Finding) -> str:
    return f"{found.code} {found.title}" + (f" ({found.item})" if found.item else "")
