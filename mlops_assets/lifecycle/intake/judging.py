"""A second opinion on a batch: a language model scores a sample of it, where the line's YAML names one.

It can stop a batch; beside the family's checks it cannot save one. Without an answer the checks decide, and a finding
says so. Its remarks are a stranger's words: they are cut, stripped and kept as findings, and nothing acts on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.core.dataset import item_input, read_items
from mlops_assets.core.digests import canonical_json
from mlops_assets.core.errors import Unavailable
from mlops_assets.core.line import Judge, Line
from mlops_assets.core.ports.language_models import Judgement
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import Finding, Item
from mlops_assets.lifecycle.training.split import sample

RULES = {
    "VAL011": "the data judge gave no answer; the checks alone decided",
    "VAL012": "the data judge remarks",
}
ISSUES, ISSUE_CHARACTERS = 10, 160
TEXT_CHARACTERS = 2_000
IMAGE_BYTES = 5_000_000


@dataclass(frozen=True)
class SecondOpinion:
    """The quality of a batch with the judge heard, what it remarked, and its stored reply, if there is one."""

    quality: float
    findings: tuple[Finding, ...] = ()
    reply: str | None = None
    score: float | None = None


def second_opinion(platform: Platform, line: Line, folder: Path, quality: float) -> SecondOpinion:
    """Ask the line's judge, if it has one, about a sample of the dataset `folder`, which the checks gave `quality`.

    The sample is chosen by hash: the same items every time. ConfigError and MissingExtra are the operator's to mend.
    """
    items = read_items(folder)
    if line.judge is None or not items:
        return SecondOpinion(quality)
    chosen = _sample(line.judge, items, folder)
    try:
        judgement = platform.judge.judge(line.judge, [_shown(folder, item) for item in chosen])
    except Unavailable as error:
        return SecondOpinion(quality, (_finding("VAL011", error.what),))
    score = judgement.quality_score
    return SecondOpinion(
        quality=score if line.judge.mode == "instead" else min(quality, score),
        findings=tuple(_finding("VAL012", issue) for issue in judgement.issues[:ISSUES]),
        reply=_stored(platform, line.judge, judgement, chosen),
        score=score,
    )


def _sample(judge: Judge, items: Sequence[Item], folder: Path) -> list[Item]:
    small = [item for item in items if item.path is None or (folder / item.path).stat().st_size <= IMAGE_BYTES]
    return sample(small or items[:1], judge.sample, judge.subject)


def _shown(folder: Path, item: Item) -> Path | str:
    given = item_input(folder, item)
    if isinstance(given, Path):
        return given
    return (given if isinstance(given, str) else canonical_json(given))[:TEXT_CHARACTERS]


def _stored(platform: Platform, judge: Judge, judgement: Judgement, chosen: Sequence[Item]) -> str:
    """Store what was asked of whom about which items, and the whole reply; return the digest."""
    document = {
        "judge": judge.model_dump(mode="json"),
        "items": [item.id for item in chosen],
        "judgement": judgement.model_dump(mode="json"),
    }
    return platform.store.put_bytes(canonical_json(document).encode())


def _finding(code: str, detail: str) -> Finding:
    plain = "".join(each if each.isprintable() else " " for each in detail[:ISSUE_CHARACTERS])
    return Finding(code=code, title=RULES[code], severity="flag", detail=" ".join(plain.split()))
