"""From an extracted batch to a dataset: every picture is kept, or dropped with a numbered reason.

Pictures are decoded once, one at a time; only numbers and a small fingerprint of each stay in memory.

Quality, 0 to 10, is the mean over everything submitted: 10 for a picture without remark, 0 for one that was dropped;
in between each remark costs what `_COST` says. A batch of blurred or dark photographs falls below 7.
"""

import hashlib
import re
from collections import Counter
from pathlib import Path, PurePosixPath

from mlops_assets.core.dataset import write_items
from mlops_assets.core.digests import sha256_json
from mlops_assets.core.family import Checked, Progress, Report
from mlops_assets.core.records.data import Finding, Item, Origin
from mlops_assets.families.vision.appearance import appearance, flags
from mlops_assets.families.vision.config import Config
from mlops_assets.families.vision.findings import Fault, finding
from mlops_assets.families.vision.fingerprints import NEAR, look, looks, pairs, pixel_digest
from mlops_assets.families.vision.manifests import Row, outside, read_batch
from mlops_assets.families.vision.pictures import read_picture, write_picture

_SAFE = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_COST = {"VIS030": 5.0, "VIS031": 5.0, "VIS032": 5.0, "VIS033": 4.0, "VIS034": 4.0, "VIS035": 5.0, "VIS037": 1.0}
_LONGEST_NAME = 255
_REPORT_EVERY = 50
_ORIGINS: dict[str, Origin] = {"": "real", "real": "real", "synthetic": "synthetic"}


def check(folder: Path, out: Path, config: Config, report: Report) -> Checked:
    """Check every picture of the batch in `folder` and write the dataset `out`; see `Family.check`."""
    root, found = read_batch(folder)
    rows = list(found)
    batch = _Batch(root, out, config)
    for done, row in enumerate(rows, 1):
        batch.findings.append(row) if isinstance(row, Finding) else batch.take(row)
        if done % _REPORT_EVERY == 0 or done == len(rows):
            report(Progress(stage="check", done=done, total=len(rows), text=f"{len(batch.items)} kept"))
    return batch.finish(sum(isinstance(row, Row) or row.severity == "drop" for row in rows))


class _Batch:
    """The state of one check: what was kept so far, and what was found."""

    def __init__(self, root: Path, out: Path, config: Config) -> None:
        self.root, self.out, self.config = root.resolve(), out, config
        self.findings: list[Finding] = []
        self.items: list[Item] = []
        self._quality: dict[str, float] = {}
        self._labels = {label.casefold(): label for label in config.labels}
        self._labels |= {name.casefold(): label for name, label in config.aliases.items()}

    def take(self, row: Row) -> None:
        """Keep the row's picture, or say why not."""
        try:
            self._keep(row, self._label(row), self._file(row))
        except Fault as fault:
            self.findings.append(finding(fault.code, row.path, fault.detail))

    def finish(self, total: int) -> Checked:
        """Drop what is there twice, write `items.jsonl` and sum up."""
        kept = self._distinct()
        write_items(self.out, kept)
        counts = Counter(str(item.target) for item in kept)
        if len(counts) == 1 and len(kept) > 1:
            self.findings.append(finding("VIS040", detail=next(iter(counts))))
        origins: set[Origin] = {item.origin for item in kept}
        quality = sum(self._quality[item.id] for item in kept)
        return Checked(
            total=total,
            kept=len(kept),
            findings=tuple(self.findings),
            quality_score=round(quality / total, 2) if total else 0.0,
            origin=origins.pop() if len(origins) == 1 else "mixed" if origins else "real",
            statistics={"pictures": len(kept), "sources": len({item.cluster for item in kept})},
            labels=dict.fromkeys(self.config.labels, 0) | counts,
        )

    def _label(self, row: Row) -> str:
        if any(not c.isprintable() for value in (row.path, row.label, row.source, row.light) for c in value):
            raise Fault("VIS004")
        if not row.label:
            raise Fault("VIS006")
        label = self._labels.get(row.label.casefold())
        if label is None:
            raise Fault("VIS007", row.label)
        if row.origin.lower() not in _ORIGINS:
            raise Fault("VIS008", row.origin)
        return label

    def _file(self, row: Row) -> Path:
        if outside(row.path):
            raise Fault("VIS002")
        path = self.root / row.path
        if any(len(part.encode()) > _LONGEST_NAME for part in path.parts):
            raise Fault("VIS005")
        if not path.resolve().is_relative_to(self.root):
            raise Fault("VIS002")
        if not path.is_file():
            raise Fault("VIS005")
        return path

    def _keep(self, row: Row, label: str, path: Path) -> None:
        config = self.config
        picture = read_picture(path, config.size, max_pixels=config.max_pixels, min_side=config.min_side)
        sides = sorted((picture.width, picture.height))
        if sides[1] > config.max_aspect * sides[0]:
            raise Fault("VIS016", f"{picture.width} x {picture.height}")
        seen = appearance(picture.pixels, config)
        remarks = [*picture.flags, *flags(seen, config)]
        digest = pixel_digest(picture.pixels)
        name = sha256_json([digest, label])[:24]
        slices = [f"label:{_safe(label)}"]
        slices += [f"{kind}:{_safe(value)}" for kind, value in (("source", row.source), ("light", row.light)) if value]
        item = Item(
            id=name,
            path=f"pictures/{digest[:32]}.png",
            target=label,
            cluster=_safe(row.source) if row.source else name,
            slices=tuple(slices),
            origin=_ORIGINS[row.origin.lower()],
            attributes={
                "file": str(PurePosixPath(row.path)),
                "width": picture.width,
                "height": picture.height,
                "sharpness": seen.sharpness,
                "brightness": seen.brightness,
                "contrast": seen.contrast,
            },
            fingerprints={"pixels": digest, "look": look(picture.pixels)},
        )
        write_picture(self.out / str(item.path), picture.pixels)
        self.items.append(item)
        self.findings += [finding(code, row.path) for code in remarks]
        self._quality[name] = max(0.0, 10.0 - sum(_COST.get(code, 0.0) for code in remarks))

    def _distinct(self) -> list[Item]:
        """Return the items without repetitions: the first is kept, and none where labels differ."""
        vectors = looks(self.items)
        first: dict[int, int] = {}
        for later, earlier in pairs(vectors, vectors, NEAR):
            if earlier < later:
                first[later] = min(earlier, first.get(later, earlier))
        dropped: dict[int, Finding] = {}
        for later, earlier in sorted(first.items()):
            one, other = self.items[later], self.items[earlier]
            if one.target != other.target:
                dropped[later] = self._twin("VIS022", one, other)
                dropped.setdefault(earlier, self._twin("VIS022", other, one))
            else:
                exact = one.fingerprints["pixels"] == other.fingerprints["pixels"]
                dropped.setdefault(later, self._twin("VIS020" if exact else "VIS021", one, other))
        self.findings += (dropped[position] for position in sorted(dropped))
        kept = [item for position, item in enumerate(self.items) if position not in dropped]
        wanted = {item.path for item in kept}
        for path in {item.path for item in self.items} - wanted:
            (self.out / str(path)).unlink()
        return kept

    def _twin(self, code: str, item: Item, other: Item) -> Finding:
        return finding(code, str(item.attributes["file"]), f"like {other.attributes['file']}")


def _safe(name: str) -> str:
    lower = name.lower()
    return lower if _SAFE.fullmatch(lower) else "x" + hashlib.sha256(name.encode()).hexdigest()[:12]
