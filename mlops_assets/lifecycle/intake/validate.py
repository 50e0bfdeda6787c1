"""`validate`: from the bytes of a batch to the items that may be trained on, and a numbered reason for all others.

Not accepting a batch is a result. What stops it is in its record, and every finding in the store; the platform goes on
whatever was in the upload, and whatever became of the process that read it.
"""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from mlops_assets.core.dataset import read_items, write_items
from mlops_assets.core.digests import sha256_json
from mlops_assets.core.errors import Refused
from mlops_assets.core.family import Checked, Leak
from mlops_assets.core.line import Line
from mlops_assets.core.policy import DataGates
from mlops_assets.core.ports.mirrors import Alert
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import Finding, Item, RawBatch, Severity, ValidatedData
from mlops_assets.lifecycle.evaluation.evaluation_sets import EvaluationDataset, protected_sets
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import ended, keep_stored
from mlops_assets.lifecycle.intake import judging
from mlops_assets.lifecycle.intake.archive_rules import ArchiveLimits
from mlops_assets.lifecycle.intake.checking import Examined, examined
from mlops_assets.lifecycle.intake.contributors import capped, shares
from mlops_assets.lifecycle.intake.ingest import raw_batch, stored_copy
from mlops_assets.lifecycle.progress import progress_file

RULES: dict[str, tuple[str, Severity]] = {
    "VAL001": ("too few items", "quarantine"),
    "VAL002": ("quality too low", "quarantine"),
    "VAL003": ("too many items dropped", "quarantine"),
    "VAL004": ("the checking process did not end well", "quarantine"),
    "VAL005": ("a file runs code when it is loaded", "quarantine"),
    "VAL006": ("too few items of a label", "quarantine"),
    "VAL010": ("item is in an evaluation set", "drop"),
    "VAL020": ("fewer items than recommended", "flag"),
    "VAL021": ("fewer items of a label than recommended", "flag"),
    "VAL022": ("contributor has more than its share: the rest of its items is left out", "flag"),
    "VAL023": ("contributor has more than its share, and too few others have items", "flag"),
}
FINDINGS: dict[str, str] = {code: title for code, (title, _) in RULES.items()} | judging.RULES
NOTHING = Checked(total=0, kept=0, findings=(), quality_score=0.0, origin="real")


def validate(platform: Platform, line: Line, batch_id: str) -> ValidatedData:
    """Check a batch and record what may be trained on; checked by the same rules before, its record is returned.

    ConfigError if an evaluation set of the line cannot be used; Busy if another process is checking the batch.
    """
    batch = raw_batch(platform, line, batch_id)
    protected = protected_sets(platform, line)
    rules = _rules(platform, line, protected)
    known = platform.records.get(line.line, batch_id, "validated_data")
    if isinstance(known, ValidatedData) and (known.rules == rules or ended(platform, line, batch_id)):
        return known
    with examined(
        platform,
        line,
        stored_copy(platform, batch),
        name=batch_id,
        filename=batch.filename,
        progress=progress_file(platform, line.line, batch_id),
    ) as seen:
        record = _judged(platform, line, batch, protected, seen).model_copy(update={"rules": rules})
        _tell(platform, record)
        failpoint("validate: before record")
        platform.records.put("validated_data", record)
        kept = _empty(seen) if _empty(seen).exists() else seen.dataset
        keep_stored(platform, record.dataset, lambda: platform.store.put_folder(kept))
    failpoint("validate: after record")
    return record


def _rules(platform: Platform, line: Line, protected: Sequence[EvaluationDataset]) -> str:
    """Return the digest of everything a batch is checked by."""
    gates = line.policy.data.model_dump(mode="json")
    sets = {each.name: each.dataset for each in protected}
    judge = line.judge.model_dump(mode="json") if line.judge else None
    return sha256_json(
        [line.family, line.config, gates, sets, judge, ArchiveLimits().model_dump(), platform.code_version(line.family)]
    )


def _judged(
    platform: Platform, line: Line, batch: RawBatch, protected: Sequence[EvaluationDataset], seen: Examined
) -> ValidatedData:
    checked = seen.checked or NOTHING
    leaks = _leaks(platform, line, protected, seen)
    findings, lost = _merged(checked.findings, seen.unpacked.findings)
    findings += (_finding("VAL010", leak.item, f"{leak.kind}: {leak.protected_item}") for leak, _ in leaks)
    total, usable = checked.total + lost, checked.kept - len(leaks)
    quality = round(checked.quality_score * usable / checked.kept, 2) if checked.kept else 0.0
    left_out, remarks = _capped(line.policy.data, batch, seen)
    findings += remarks
    kept = usable - len(left_out)
    if seen.failure is not None:
        findings.append(_finding("VAL004", detail=seen.failure.cause or seen.failure.what))
    dataset = _store(platform, seen, findings)
    labels = _without(checked.labels, [*(item for _, item in leaks), *left_out])
    opinion = judging.SecondOpinion(quality)
    if seen.checked is not None and not _blocking(findings):
        opinion = judging.second_opinion(platform, line, seen.dataset, quality)
        findings += opinion.findings
        findings += _gates(line.policy.data, total, usable, kept, opinion.quality)
        findings += _label_gates(line.policy.data, labels)
    reasons = _blocking(findings)
    lines = "".join(found.canonical_json() + "\n" for found in findings)
    return ValidatedData(
        line=line.line,
        batch_id=batch.batch_id,
        parents={"raw_batch": batch.digest},
        dataset=dataset,
        findings=platform.store.put_bytes(lines.encode()),
        total=total,
        kept=kept,
        left_out=len(left_out),
        dropped=_count(findings, "drop"),
        flagged=_count(findings, "flag"),
        quality_score=opinion.quality,
        origin=checked.origin,
        statistics=checked.statistics | ({} if opinion.score is None else {"judge_score": opinion.score}),
        labels=labels,
        judgement=opinion.reply,
        accepted=not reasons,
        reasons=reasons,
    )


def _leaks(
    platform: Platform, line: Line, protected: Sequence[EvaluationDataset], seen: Examined
) -> list[tuple[Leak, Item]]:
    """Take items that are in an evaluation set out of the dataset; return them, each with what was found."""
    if seen.checked is None:
        return []
    items = read_items(seen.dataset)
    guarded = [item for each in protected for item in read_items(platform.store.folder(each.dataset))]
    found = {leak.item: leak for leak in platform.family(line.family).leaks(items, guarded)}
    return [(found[item.id], item) for item in _taken_out(seen.dataset, items, set(found))]


def _capped(gates: DataGates, batch: RawBatch, seen: Examined) -> tuple[list[Item], list[Finding]]:
    """Take what is above its contributor's share out of the dataset; return it, and a finding for each contributor.

    Nothing is left out where too little would stay to be trained on: then a person decides over the shares.
    """
    if seen.checked is None or gates.max_contributor_share == 1.0:
        return [], []
    items = read_items(seen.dataset)
    above = [each for each in shares(items) if each[2] > gates.max_contributor_share]
    chosen = capped(items, gates.max_contributor_share, batch.sha256)
    if not above or len(chosen) < gates.min_items:
        return [], [
            _finding("VAL023", detail=f"{name}: {share:.0%} of at most {gates.max_contributor_share:.0%}")
            for name, _, share in above
        ]
    kept = {item.id for item in chosen}
    left_out = _taken_out(seen.dataset, items, {item.id for item in items if item.id not in kept})
    lost = Counter(item.cluster for item in left_out)
    owned = Counter(item.cluster for item in items)
    return left_out, [
        _finding("VAL022", detail=f"{name}: {count} of {owned[name]} items") for name, count in lost.most_common()
    ]


def _taken_out(dataset: Path, items: Sequence[Item], gone: Container[str]) -> list[Item]:
    """Take the items with these ids out of a dataset, and their files; return them."""
    taken = [item for item in items if item.id in gone]
    for item in taken:
        if item.path is not None:
            (dataset / item.path).unlink(missing_ok=True)
    if taken:
        write_items(dataset, (item for item in items if item.id not in gone))
    return taken


def _without(labels: Mapping[str, int], gone: Sequence[Item]) -> dict[str, int]:
    """Take items off the counts by label; their slices name their labels."""
    lost = Counter(name.removeprefix("label:") for item in gone for name in item.slices if name.startswith("label:"))
    return {label: count - lost[label] for label, count in labels.items()}


def _merged(checked: Sequence[Finding], unpacked: Sequence[Finding]) -> tuple[list[Finding], int]:
    """Name the true cause of items whose file was damaged; return all findings, and the items only unpacking saw."""
    damaged = {_stem(found.item): found for found in unpacked if found.item is not None and found.severity == "drop"}
    named = {tail: stem for stem in reversed(damaged) for tail in _tails(stem)}
    seen: set[str] = set()
    merged: list[Finding] = []
    for found in checked:
        stem = named.get(_stem(found.item)) if found.item else None
        if found.severity == "drop" and stem is not None:
            merged.append(damaged[stem].model_copy(update={"item": found.item}))
            seen.add(stem)
        else:
            merged.append(found)
    rest = [each for each in unpacked if each.item is None or _stem(each.item) not in seen]
    return merged + rest, sum(each.severity == "drop" for each in rest)


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).name else name


def _tails(name: str) -> Iterator[str]:
    """Yield a name as it is, and as it is called within each folder that a zip wraps around everything."""
    parts = name.split("/")
    return ("/".join(parts[at:]) for at in range(len(parts)))


def _store(platform: Platform, seen: Examined, findings: list[Finding]) -> str:
    """Store the dataset and return its digest; nothing of a batch that is set aside for safety's sake is kept in it."""
    if seen.checked is not None and not _blocking(findings):
        try:
            return platform.store.put_folder(seen.dataset)
        except Refused as refused:
            findings.append(_finding("VAL005", detail=refused.what))
    write_items(_empty(seen), ())
    return platform.store.put_folder(_empty(seen))


def _empty(seen: Examined) -> Path:
    return seen.dataset.with_name("empty")


def _gates(gates: DataGates, total: int, usable: int, kept: int, quality: float) -> Iterator[Finding]:
    if kept < gates.min_items:
        yield _finding("VAL001", detail=f"{kept} of at least {gates.min_items}")
    elif kept < gates.recommended_items:
        yield _finding("VAL020", detail=f"{kept} of {gates.recommended_items} recommended")
    if quality < gates.min_quality:
        yield _finding("VAL002", detail=f"{quality:.1f} of at least {gates.min_quality:.1f}")
    if total and (total - usable) / total > gates.max_dropped_share:
        yield _finding("VAL003", detail=f"{(total - usable) / total:.0%} of at most {gates.max_dropped_share:.0%}")


def _label_gates(gates: DataGates, labels: Mapping[str, int]) -> Iterator[Finding]:
    """Name every label that has too few items, and how many are missing."""
    for label, count in labels.items():
        if count < gates.min_per_label:
            yield _finding("VAL006", label, f"{label}: {count} of at least {gates.min_per_label}")
        elif count < gates.recommended_per_label:
            yield _finding("VAL021", label, f"{label}: {count} of {gates.recommended_per_label} recommended")


def _tell(platform: Platform, record: ValidatedData) -> None:
    """Write the ledger entry, and tell people of leaks: someone may be training on the exam."""
    leaks = record.dropped.get("VAL010", 0)
    if leaks:
        platform.alerts.send(
            Alert(
                key=f"leak:{record.line}:{record.batch_id}",
                title=f"{record.line}: {leaks} items of batch {record.batch_id} are in an evaluation set",
                text="They were dropped. Ask the contributor where they come from; the findings name them.",
                line=record.line,
            )
        )
    platform.ledger.append(
        "validated",
        record.line,
        actor="platform",
        batch_id=record.batch_id,
        body={
            "record": record.digest,
            "accepted": record.accepted,
            "kept": record.kept,
            "dropped": dict(record.dropped),
            "reasons": [found.code for found in record.reasons],
        },
        key=f"validated:{record.line}:{record.batch_id}:{record.digest}",
    )


def _blocking(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(found for found in findings if found.severity == "quarantine")


def _count(findings: Sequence[Finding], severity: Severity) -> dict[str, int]:
    return dict(sorted(Counter(found.code for found in findings if found.severity == severity).items()))


def _finding(code: str, item: str | None = None, detail: str = "") -> Finding:
    title, severity = RULES[code]
    return Finding(code=code, title=title, severity=severity, item=item, detail=detail)
