"""From the numbers of a network to an answer in source system 002's words; what a servable says beside its weights."""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, JsonValue

from mlops_assets.families.text.config import NO_LABEL, Config

SETTINGS = "text.json"
_DIGITS = 6


class Answering(BaseModel):
    """How a servable answers; the meaning of the numbers is in `Config`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["onnx", "tfidf"]
    task: Literal["single_label", "binary", "multi_label"]
    labels: tuple[str, ...]
    thresholds: dict[str, float]
    derived: dict[str, dict[str, float]]
    label_column: str
    secondary_share: float
    max_length: int
    reasoning: str


def answering(kind: Literal["onnx", "tfidf"], config: Config, max_length: int, reasoning: str) -> Answering:
    """Return the settings of a servable of a line."""
    return Answering(
        kind=kind,
        task=config.task,
        labels=config.labels,
        thresholds={label: config.threshold_of(label) for label in config.labels},
        derived=config.derived,
        label_column=config.label_column,
        secondary_share=config.secondary_share,
        max_length=max_length,
        reasoning=reasoning,
    )


def answer(logits: np.ndarray, how: Answering) -> dict[str, JsonValue]:
    """Return the answer for one message's logits, an array of as many as there are labels."""
    values = np.asarray(logits, np.float64)
    if how.task == "multi_label":
        return _several(1 / (1 + np.exp(-values)), how)
    shares = np.exp(values - values.max())
    return _one(shares / shares.sum(), how)


def label_of(prediction: JsonValue) -> str:
    """Return the label of a prediction or target, of several 'joy;trust'."""
    if not isinstance(prediction, dict):
        return str(prediction)
    if isinstance(labels := prediction.get("labels"), list):
        return ";".join(str(label) for label in labels) or NO_LABEL
    return str(prediction["category"])


def _one(shares: np.ndarray, how: Answering) -> dict[str, JsonValue]:
    best = int(shares.argmax())
    if how.task == "binary":
        best = int(shares[1] >= how.thresholds[how.labels[1]])
    others = [int(i) for i in np.argsort(-shares, kind="stable") if i != best and shares[i] >= how.secondary_share]
    label, column = how.labels[best], how.label_column
    found: dict[str, JsonValue] = {"category": label} if column == "category" else {"category": label, column: label}
    if how.task == "binary":
        found |= {column: bool(best), "category": label, "score": _rounded(shares[1])}
    return found | {
        "confidence": _rounded(shares[best]),
        "probabilities": {name: _rounded(share) for name, share in zip(how.labels, shares, strict=True)},
        "secondary_categories": [how.labels[i] for i in others],
        "reasoning": how.reasoning,
        "key_entities": {},
    }


def _several(scores: np.ndarray, how: Answering) -> dict[str, JsonValue]:
    by_name = dict(zip(how.labels, scores.tolist(), strict=True))
    given = [label for label in how.labels if by_name[label] >= how.thresholds[label]]
    strongest = max(how.labels, key=lambda label: by_name[label])
    sums = {name: sum(by_name[k] * weight for k, weight in each.items()) for name, each in how.derived.items()}
    return {
        "category": strongest if given else NO_LABEL,
        "labels": list(given),
        "dimensions": {name: _rounded(score) for name, score in by_name.items()},
        **{name: _rounded(min(1.0, max(-1.0, value))) for name, value in sums.items()},
        "confidence": _rounded(float(np.maximum(scores, 1 - scores).mean())),
        "reasoning": how.reasoning,
        "key_entities": {},
    }


def _rounded(value: float) -> float:
    return round(float(value), _DIGITS)
