"""The dependency-free family: short texts get the label whose words they hold. Fake, template and floor.

It really learns, forgets and is harmed by wrong labels, all within milliseconds. What a new family has to provide
can be read here from top to bottom.

A batch is CSV or JSONL files with the columns `text`, `label` and, optionally, `user` and `origin`.
"""

import hashlib
import random
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from mlops_assets.core.dataset import read_items, write_items
from mlops_assets.core.digests import sha256_folder, sha256_json
from mlops_assets.core.events import Reported
from mlops_assets.core.family import Checked, ItemScore, Leak, Media, MetricSpec, Predictor, Progress, Report, Trained
from mlops_assets.core.near_text import NearTexts
from mlops_assets.core.records.base import Check, Record
from mlops_assets.core.records.data import Finding, Item, Origin
from mlops_assets.core.records.training import CurvePoint
from mlops_assets.core.rows import LONGEST_LINE, half_character
from mlops_assets.families.baseline.counts import Counts, Labels, split, write
from mlops_assets.families.baseline.rows import RULES, finding, read_rows, refusal

MODEL = "counts.json"
SAFE = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Config(BaseModel):
    """Configuration of the baseline family, from `config:` in a line's YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    labels: tuple[str, ...] = Field(default=(), description="Labels that may occur, in lower case; none: any")
    smoothing: float = Field(default=0.1, gt=0, le=10, description="Occurrences every word is given beforehand")
    memory: float = Field(default=0.5, gt=0, le=1, description="Share of the parent's counts that is kept")
    batch_size: int = Field(default=8, ge=1, description="Texts a step")
    checkpoint_every: int = Field(default=1, ge=1, description="Steps between checkpoints")


class Checkpoint(Record):
    """A training half done: which one, how far, and what it knows."""

    training: str
    step: int
    counts: Counts
    curve: tuple[CurvePoint, ...]


class Baseline:
    """The baseline family; see `mlops_assets.core.family.Family` for what each method promises."""

    name = "baseline"
    scorer = "equal labels, version 1"
    unit = "text"
    media: Media = "json"
    findings: Mapping[str, str] = {code: title for code, (title, _) in RULES.items()}
    Config: type[BaseModel] = Config

    def metrics(self, config: BaseModel) -> tuple[MetricSpec, ...]:
        """Return accuracy and error rate."""
        return (
            MetricSpec(name="accuracy", higher_is_better=True, unit="share of texts", title="Accuracy"),
            MetricSpec(name="error", higher_is_better=False, unit="share of texts", title="Error rate"),
        )

    def labels(self, config: BaseModel) -> tuple[str, ...]:
        """Return the configured labels."""
        return _own(config).labels

    def check(self, folder: Path, out: Path, config: BaseModel, report: Report) -> Checked:
        """Keep or drop each row with a reason 'BAS...'. Quality is 10 times the share of rows that were kept."""
        findings: list[Finding] = []
        items: dict[str, Item] = {}
        total = 0
        for row in read_rows(folder):
            found = row if isinstance(row, Finding) else _item(row, _own(config), items)
            total += not isinstance(row, Finding) or row.severity == "drop"
            if isinstance(found, Item):
                items[found.fingerprints["text"]] = found
            else:
                findings.append(found)
        kept = list(items.values())
        if len({str(item.target) for item in kept}) == 1:
            findings.append(finding("BAS022", detail=str(kept[0].target)))
        write_items(out, kept)
        report(Progress(stage="check", done=total, total=total, text=f"{len(kept)} kept"))
        origins: set[Origin] = {item.origin for item in kept}
        return Checked(
            total=total,
            kept=len(kept),
            findings=tuple(findings),
            quality_score=round(10 * len(kept) / total, 2) if total else 0.0,
            origin=origins.pop() if len(origins) == 1 else "mixed" if origins else "real",
            statistics={"texts": len(kept), "users": len({item.cluster for item in kept})},
            labels=dict.fromkeys(_own(config).labels, 0) | Counter(str(item.target) for item in kept),
        )

    def example(self, reported: Reported, config: BaseModel) -> dict[str, JsonValue] | str:
        """Return text, label and user of a correction."""
        if reported.event.kind != "correction":
            return ""
        if not isinstance(reported.input, str):
            return reported.unknown
        return {"text": reported.input, "label": reported.event.target, "user": reported.user or ""}

    def leaks(self, items: Sequence[Item], protected: Sequence[Item]) -> list[Leak]:
        """Return items whose text or words are a protected one's, or nearly (`NearTexts`)."""
        same = {item.fingerprints["text"]: item for item in protected}
        near = NearTexts([str(item.value) for item in protected])
        found = []
        for item in items:
            if twin := same.get(item.fingerprints["text"]):
                kind = "exact" if twin.value == item.value else "text"
                found.append(Leak(item=item.id, protected_item=twin.id, kind=kind))
            elif (at := near.twin(str(item.value))) is not None:
                found.append(Leak(item=item.id, protected_item=protected[at].id, kind="near"))
        return found

    def base(self, config: BaseModel, out: Path) -> None:
        """Write a model that has seen nothing: it answers the first of the configured labels."""
        own = _own(config)
        write(out / MODEL, Counts(smoothing=own.smoothing, labels=dict.fromkeys(own.labels, 0.0), words={}))

    def train(
        self, data: Path, held_out: Path, parent: Path, config: BaseModel, seed: int, run_dir: Path, report: Report
    ) -> Trained:
        """Count the words of the data in a seeded order; the loss of a step is taken before its texts are counted."""
        started, own = time.perf_counter(), _own(config)
        items, held = read_items(data), read_items(held_out)
        random.Random(seed).shuffle(items)
        key = sha256_json([sha256_folder(data), sha256_folder(parent), own.model_dump(mode="json"), seed])
        state = _begin(run_dir / "checkpoint.json", key, parent, own)
        chunks = [items[at : at + own.batch_size] for at in range(0, len(items), own.batch_size)]
        for step, chunk in enumerate(chunks[state.step :], state.step + 1):
            loss = state.counts.loss(chunk)
            counts = state.counts.counted(chunk)
            point = CurvePoint(
                step=step, loss=loss, held_out_loss=counts.loss(held), seconds=time.perf_counter() - started
            )
            state = Checkpoint(training=key, step=step, counts=counts, curve=(*state.curve, point))
            if step % own.checkpoint_every == 0:
                write(run_dir / "checkpoint.json", state)
            values = {"loss": point.loss, "held_out_loss": point.held_out_loss}
            known = {name: value for name, value in values.items() if value is not None}
            report(Progress(stage="train", done=step, total=len(chunks), values=known))
        write(run_dir / "model" / MODEL, state.counts)
        return Trained(
            steps=len(chunks),
            items=len(items),
            seconds=time.perf_counter() - started,
            device="cpu",
            curve=state.curve,
            stopped="finished",
        )

    def export(self, model: Path, out: Path, config: BaseModel) -> None:
        """Write the counts: all that `load` needs."""
        write(out / MODEL, Counts.parse((model / MODEL).read_bytes()))

    def companions(self, data: Path, model: Path, out: Path, config: BaseModel, seed: int) -> None:
        """Write none: nothing is compressed, and the model is the simple method itself."""

    def load(self, servable: Path) -> Predictor:
        """Load an exported folder; predictions are {'label', 'confidence'}."""
        return Labels(Counts.parse((servable / MODEL).read_bytes()))

    def refuse(self, input: Path | JsonValue, config: BaseModel) -> str:
        """Refuse what is no text, holds control characters, has no words or is longer than a row may be."""
        if not isinstance(input, str):
            return refusal("BAS003", "the input must be a text")
        if len(input) > LONGEST_LINE:
            return refusal("BAS004", f"{len(input)} characters")
        if half_character(input):
            return refusal("BAS003", "half of a surrogate pair")
        if CONTROL.search(input):
            return refusal("BAS005")
        return "" if split(input) else refusal("BAS010")

    def units(self, items: Sequence[Item]) -> float:
        """Return the number of texts."""
        return float(len(items))

    def score(
        self, items: Sequence[Item], predictions: Sequence[JsonValue], config: BaseModel
    ) -> list[dict[str, ItemScore]]:
        """Return hits and misses over one."""
        hits = [float(self.show(answer) == item.target) for item, answer in zip(items, predictions, strict=True)]
        return [
            {"accuracy": ItemScore(numerator=hit, weight=1.0), "error": ItemScore(numerator=1.0 - hit, weight=1.0)}
            for hit in hits
        ]

    def diagnose(self, config: BaseModel) -> list[Check]:
        """Return nothing: the family needs nothing."""
        return []

    def show(self, prediction: JsonValue) -> str:
        """Return the label of a prediction or target."""
        return str(prediction["label"]) if isinstance(prediction, dict) else str(prediction)


def _begin(checkpoint: Path, key: str, parent: Path, config: Config) -> Checkpoint:
    """Return the state to go on from: this training's last checkpoint, or the parent with its counts faded."""
    if checkpoint.exists() and (state := Checkpoint.parse(checkpoint.read_bytes())).training == key:
        return state
    old = Counts.parse((parent / MODEL).read_bytes()).faded(config.memory)
    labels = dict.fromkeys(config.labels, 0.0) | old.labels
    counts = Counts(smoothing=config.smoothing, labels=labels, words=old.words)
    return Checkpoint(training=key, step=0, counts=counts, curve=())


def _item(row: dict[str, str], config: Config, seen: Mapping[str, Item]) -> Item | Finding:
    text, label, user = (row.get(name, "").strip() for name in ("text", "label", "user"))
    label = label.lower()
    origins: dict[str, Origin] = {"": "real", "real": "real", "synthetic": "synthetic"}
    origin = origins.get(row.get("origin", "").strip().lower())
    words, where = split(text), text[:40]
    fingerprint = hashlib.sha256(" ".join(words).encode()).hexdigest()
    problems = {
        "BAS005": any(CONTROL.search(value) for value in row.values()),
        "BAS010": not words,
        "BAS011": not label or (bool(config.labels) and label not in config.labels),
        "BAS012": fingerprint in seen,
        "BAS013": origin is None,
    }
    for code, wrong in problems.items():
        if wrong:
            return finding(code, where)
    name = sha256_json([text, label])[:24]
    return Item(
        id=name,
        value=text,
        target=label,
        cluster=_safe(user) if user else name,
        slices=(f"label:{_safe(label)}",),
        origin=origin or "real",
        fingerprints={"text": fingerprint},
    )


def _safe(name: str) -> str:
    lower = name.lower()
    return lower if SAFE.fullmatch(lower) else "x" + hashlib.sha256(name.encode()).hexdigest()[:12]


def _own(config: BaseModel) -> Config:
    return config if isinstance(config, Config) else Config.model_validate(config.model_dump())


FAMILY = Baseline()
