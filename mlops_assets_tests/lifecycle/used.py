"""Use of a line in production, as gateway and users report it: predictions with payloads, and corrections."""

from collections.abc import Sequence

from mlops_assets.core.events import Correction, Event, Prediction
from mlops_assets.core.line import Collection, Line, Triggers
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.collection.collecting import collect
from mlops_assets_tests.lines import Row, texts

KEEPING = Collection(keep_payloads=True)
EAGER = Triggers(retrain_threshold=30, retrain_interval_hours=0)


def eager(line: Line, **changes: object) -> Line:
    """Return a line that keeps payloads and trains on 30 new examples, whenever it was last trained."""
    triggers = EAGER.model_copy(update=changes)
    return line.model_copy(update={"collection": KEEPING, "triggers": triggers})


def asked(row: Row, name: str, *, user: str = "kim", label: str = "music", **changes: object) -> Prediction:
    """Return a prediction of a text of `lines.texts`."""
    fields = {"version": 1, "arm": "production", "latency_ms": 1.0, "success": True, **changes}
    answer = {"label": label, "confidence": 0.5}
    return Prediction.model_validate(
        {"event_id": name, "user": user, "label": label, "input": row["text"], "output": answer, **fields}
    )


def corrected(row: Row, name: str, **changes: object) -> Correction:
    """Return the correction of a prediction."""
    fields = {"event_id": f"c-{name}", "prediction_id": name, "target": row["label"], **changes}
    return Correction.model_validate(fields)


def report(platform: Platform, line: Line, events: Sequence[Event], *, sent_by: str | None = None) -> None:
    """Report events through the door that all go through."""
    assert all(each.status == "stored" for each in collect(platform, line, events, sent_by=sent_by))


def use(platform: Platform, line: Line, *, seed: int = 1, items: int = 120, users: int = 10) -> list[Row]:
    """Predict texts, each by one of `users`, and correct every one; return the texts."""
    rows = texts(seed, items)
    names = [f"p{seed}-{at}" for at in range(items)]
    people = [f"user{at % users}" for at in range(items)]
    report(platform, line, [asked(row, name, user=user) for row, name, user in zip(rows, names, people, strict=True)])
    report(platform, line, [corrected(row, name) for row, name in zip(rows, names, strict=True)])
    return rows
