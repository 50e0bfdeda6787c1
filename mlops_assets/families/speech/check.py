"""From an extracted batch to a dataset: every row is kept, or dropped with a numbered reason.

Recordings are read one at a time, so memory does not grow with the batch but for one small record per item.

Quality, 0 to 10, is the mean over everything submitted: 10 for an item without remark, 8 for one whose channels were
mixed, 5 for one that is clipped or in another script or language, 0 for one that was dropped.
"""

import hashlib
import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from mlops_assets.core.dataset import write_items
from mlops_assets.core.digests import sha256_json
from mlops_assets.core.family import Checked, Progress, Report
from mlops_assets.core.records.data import Finding, Item, Origin
from mlops_assets.families.speech import transcripts
from mlops_assets.families.speech.audio import Clip, Fault, read_clip, write_samples
from mlops_assets.families.speech.config import Config
from mlops_assets.families.speech.findings import finding
from mlops_assets.families.speech.fingerprints import AudioIndex, audio_hashes, pcm_digest, text_hash
from mlops_assets.families.speech.manifests import Row, read_rows, root_of
from mlops_assets.families.speech.wer import normalise

_SAFE = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_COST = {"SPC030": 2.0, "SPC031": 5.0, "SPC032": 5.0, "SPC033": 5.0}
_REPORT_EVERY = 25
_LONGEST_NAME = 255


def check(folder: Path, out: Path, config: Config, report: Report) -> Checked:
    """Check every row of the batch in `folder` and write the dataset `out`; see `Family.check`."""
    root = root_of(folder)
    rows = list(read_rows(root))
    batch = _Batch(root, out, config)
    for done, row in enumerate(rows, 1):
        batch.findings.append(row) if isinstance(row, Finding) else batch.take(row)
        if done % _REPORT_EVERY == 0 or done == len(rows):
            report(Progress(stage="check", done=done, total=len(rows), text=f"{len(batch.items)} kept"))
    return batch.finish(sum(isinstance(row, Row) or (row.severity == "drop") for row in rows))


class _Batch:
    """The state of one check: what was kept so far, and what was found."""

    def __init__(self, root: Path, out: Path, config: Config) -> None:
        self.root = root.resolve()
        self.out = out
        self.config = config
        self.findings: list[Finding] = []
        self.items: dict[str, Item] = {}
        self.quality: dict[str, float] = {}
        self._by_pcm: dict[str, str] = {}
        self._sounds = AudioIndex()
        self._order: list[str] = []

    def take(self, row: Row) -> None:
        """Keep the row's item, or say why not."""
        try:
            if _outside(row.path):
                raise Fault("SPC002")
            self._keep(row, self._transcript(row), self._clip(row))
        except Fault as fault:
            self.findings.append(finding(fault.code, row.path, fault.detail))

    def finish(self, total: int) -> Checked:
        """Write `items.jsonl` and sum up."""
        kept = list(self.items.values())
        write_items(self.out, kept)
        origins: set[Origin] = {item.origin for item in kept}
        seconds = sum(float(item.attributes["seconds"]) for item in kept)
        return Checked(
            total=total,
            kept=len(kept),
            findings=tuple(self.findings),
            quality_score=round(sum(self.quality.values()) / total, 2) if total else 0.0,
            origin=origins.pop() if len(origins) == 1 else "mixed" if origins else "real",
            statistics={
                "seconds": round(seconds, 3),
                "speakers": len({item.cluster for item in kept}),
                "words": sum(len(normalise(str(item.target)).split()) for item in kept),
            },
        )

    def _transcript(self, row: Row) -> str:
        if transcripts.has_control(row.transcript) or transcripts.has_control(row.path):
            raise Fault("SPC005")
        if len(row.transcript) > self.config.max_transcript_chars * 4:
            raise Fault("SPC004", f"{len(row.transcript)} characters")
        text = transcripts.clean(row.transcript)
        if not normalise(text):
            raise Fault("SPC020")
        if len(text) > self.config.max_transcript_chars:
            raise Fault("SPC004", f"{len(text)} characters")
        if transcripts.has_secret(text):
            raise Fault("SPC022")
        if row.language and not _LANGUAGE.fullmatch(_code(row.language)):
            raise Fault("SPC026", row.language)
        if row.origin.lower() not in ("", "real", "synthetic"):
            raise Fault("SPC027", row.origin)
        return text

    def _clip(self, row: Row) -> Clip:
        path = self.root / row.path
        if any(len(part.encode()) > _LONGEST_NAME for part in path.parts):
            raise Fault("SPC006")
        if not path.resolve().is_relative_to(self.root):
            raise Fault("SPC002")
        if not path.is_file():
            raise Fault("SPC006")
        return read_clip(path, self.config)

    def _keep(self, row: Row, text: str, clip: Clip) -> None:
        self._check_rate(text, clip)
        pcm = pcm_digest(clip.samples)
        if pcm in self._by_pcm:
            self._repeated(row, text, pcm)
        sound, shifted = audio_hashes(clip.samples, clip.level)
        words = normalise(text)
        twin = next((i for i in self._sounds.near(sound) if normalise(self._text_at(i)) == words), None)
        if twin is not None:
            raise Fault("SPC024", f"like {self._name_at(twin)}")
        flags = self._flags(row, text, clip)
        prints = {"pcm": pcm, "audio": sound, "shifted": shifted, "text": text_hash(text)}
        item = self._item(row, text, clip, prints, flags)
        write_samples(self.out / str(item.path), clip.samples)
        self.findings.extend(finding(code, row.path) for code in flags)
        self.items[item.id] = item
        self.quality[item.id] = 10.0 - max((_COST[code] for code in flags), default=0.0)
        self._by_pcm[pcm] = item.id
        self._sounds.add(sound)
        self._order.append(item.id)

    def _check_rate(self, text: str, clip: Clip) -> None:
        characters = transcripts.spoken_characters(text)
        slow = characters < self.config.min_chars_per_second * clip.voiced_seconds
        if slow or characters > self.config.max_chars_per_second * clip.seconds:
            raise Fault("SPC021", f"about {characters} letters in {clip.seconds:.1f} s")

    def _repeated(self, row: Row, text: str, pcm: str) -> None:
        first = self.items.get(self._by_pcm[pcm])
        if first is not None and normalise(str(first.target)) == normalise(text):
            raise Fault("SPC023", f"same as {first.attributes['file']}")
        if first is not None:
            del self.items[first.id], self.quality[first.id]
            (self.out / str(first.path)).unlink()
            self.findings.append(finding("SPC025", str(first.attributes["file"])))
        raise Fault("SPC025")

    def _flags(self, row: Row, text: str, clip: Clip) -> tuple[str, ...]:
        language = _code(row.language) or self.config.language
        flags = list(clip.flags)
        if not transcripts.fits_script(text, language):
            flags.append("SPC032")
        if language != self.config.language:
            flags.append("SPC033")
        return tuple(flags)

    def _item(self, row: Row, text: str, clip: Clip, prints: dict[str, str], flags: tuple[str, ...]) -> Item:
        name = sha256_json([prints["pcm"], text])[:24]
        speaker = _safe(row.speaker) if row.speaker else name
        length = "short" if clip.seconds < 3 else "medium" if clip.seconds < 10 else "long"
        slices = [f"language:{_code(row.language) or self.config.language}", f"length:{length}"]
        if row.speaker:
            slices.append(f"speaker:{speaker}")
        if "SPC032" in flags:
            slices.append("script:other")
        return Item(
            id=name,
            path=f"audio/{prints['pcm'][:32]}.wav",
            target=text,
            cluster=speaker,
            slices=tuple(slices),
            origin=_origin(row.origin),
            attributes={"seconds": round(clip.seconds, 3), "file": str(PurePosixPath(row.path))},
            fingerprints=prints,
        )

    def _text_at(self, position: int) -> str:
        item = self.items.get(self._order[position])
        return "" if item is None else str(item.target)

    def _name_at(self, position: int) -> str:
        return str(self.items[self._order[position]].attributes["file"])


def _outside(path: str) -> bool:
    return (
        not path
        or "\\" in path
        or PurePosixPath(path).is_absolute()
        or bool(PureWindowsPath(path).drive)
        or ".." in PurePosixPath(path).parts
    )


def _code(language: str) -> str:
    return language.strip().lower().replace("_", "-").partition("-")[0]


def _safe(name: str) -> str:
    lower = name.lower()
    return lower if _SAFE.fullmatch(lower) else "x" + hashlib.sha256(name.encode()).hexdigest()[:12]


def _origin(value: str) -> Origin:
    return "synthetic" if value.lower() == "synthetic" else "real"
