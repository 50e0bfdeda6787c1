"""What is refused before it is predicted is what a check drops, for the same number: one way to read, told twice."""

import json
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue

from mlops_assets.core.family import Family
from mlops_assets.core.records.data import Finding
from mlops_assets.wiring.families import load_family
from mlops_assets_tests.families import junk

ODD = st.sampled_from("\x00\x07\x1f\x7f\x85\u200b\u202e\u2028\ufeff\U0001f600\t\n")
TEXTS = st.text(st.one_of(st.sampled_from(string.ascii_lowercase + " !?,"), ODD), max_size=40)
FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def codes(sentence: str) -> set[str]:
    return {sentence.partition("(")[2].partition(")")[0]} if sentence else set()


def dropped(family: Family, config: BaseModel, folder: Path, name: str, row: JsonValue) -> list[Finding]:
    """Check a batch of one row; return why it was not kept, [] if it was."""
    (folder / "batch").mkdir(exist_ok=True)
    (folder / "batch" / name).write_text(json.dumps(row) + "\n", encoding="utf-8")
    checked = family.check(folder / "batch", folder / "out", config, lambda _: None)
    return [] if checked.kept else [each for each in checked.findings if each.severity == "drop"]


@given(text=TEXTS)
@FAST
def test_a_text_is_refused_by_the_number_it_is_dropped_by(tmp_path: Path, text: str) -> None:
    family = load_family("baseline")
    config = family.Config()
    found = {each.code for each in dropped(family, config, tmp_path, "a.jsonl", {"text": text, "label": "x"})}
    assert codes(family.refuse(text, config)) == found


@given(text=TEXTS.map(lambda text: text * 2))
@FAST
def test_a_message_is_refused_by_the_number_it_is_dropped_by(tmp_path: Path, text: str) -> None:
    """Too short a message, or one that a spreadsheet would run, is only no good to learn from."""
    family = load_family("text")
    config = family.Config.model_validate({"labels": ["a", "b"], "max_chars": 60})
    row = {"message": text, "category": "a"}
    found = {each.code for each in dropped(family, config, tmp_path, "a.jsonl", row)} - {"TXT011", "TXT024"}
    assert codes(family.refuse(text, config)) == found


@given(
    kind=TEXTS,
    user=TEXTS,
    bars=st.one_of(st.none(), st.integers(-5, 1000), st.floats(allow_nan=False, allow_infinity=False)),
)
@FAST
def test_an_event_is_refused_by_the_number_it_is_dropped_by(
    tmp_path: Path, kind: str, user: str, bars: float | None
) -> None:
    family = load_family("preference")
    config = family.Config.model_validate({"max_text": 30})
    event = {"type": kind, "user": user, "bars": bars}
    found = {each.code for each in dropped(family, config, tmp_path, "a.jsonl", event | {"rating": 4})}
    assert codes(family.refuse(event, config)) == found


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"typ": "chords"}, "there is no column typ"),
        ({"rating": 4}, "none of the columns"),
        ({"type": 4}, "type must be a text or a truth value"),
        ({"type": "chords", "bars": "4"}, "bars must be a finite number"),
        ({"type": "chords", "bars": True}, "bars must be a finite number"),
        ({"user": 7}, "user must be a text"),
        ({"type": "chords", "timestamp": [1]}, "timestamp must be plain"),
        ({"type": "chords", "user": "a\ud800"}, "half of a surrogate pair"),
    ],
)
def test_an_event_of_other_columns_or_kinds_is_refused(event: dict[str, JsonValue], said: str) -> None:
    family = load_family("preference")
    assert said in family.refuse(event, family.Config())


def test_an_event_may_lack_columns_and_have_those_that_are_not_learned_from() -> None:
    family = load_family("preference")
    known: dict[str, JsonValue] = {
        "type": None,
        "success": False,
        "rating": 5,
        "timestamp": "2026-01-01",
        "notes": "x" * 999,
    }
    assert family.refuse(known, family.Config()) == ""
    assert family.refuse({"bars": 1e300}, family.Config()) == ""


@pytest.mark.parametrize(
    ("name", "only_for_learning"),
    [("speech", {"SPC019", "SPC020", "SPC021"}), ("vision", {"VIS015", "VIS016", "VIS017"})],
)
def test_a_file_is_refused_by_the_number_it_is_dropped_by(
    tmp_path: Path, name: str, only_for_learning: set[str]
) -> None:
    pytest.importorskip({"speech": "soundfile", "vision": "PIL"}[name])
    family = load_family(name)
    config = family.Config.model_validate({"labels": ["a", "b"]} if name == "vision" else {"max_seconds": 3})
    made = junk.files()
    hurt = made["a recording" if name == "speech" else "a picture"]
    made |= junk.damaged(hurt) | {"a long recording": junk.sound(4), "a short one": junk.sound(0.1)}
    for number, (what, data) in enumerate(made.items()):
        folder = tmp_path / str(number)
        path = folder / ("a.wav" if name == "speech" else "a/a.png")
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        if name == "speech":
            (folder / "manifest.jsonl").write_text('{"path": "a.wav", "transcript": "so be it"}\n')
        checked = family.check(folder, tmp_path / "out" / str(number), config, lambda _: None)
        found = {each.code for each in checked.findings if each.severity == "drop"} - only_for_learning
        assert codes(family.refuse(path, config)) == found, (what, checked.findings)
