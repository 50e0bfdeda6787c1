"""What a model worker makes of inputs, whatever its model makes of them."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from pydantic import JsonValue

from mlops_assets.core.family import Predictor
from mlops_assets.families.baseline import FAMILY
from mlops_assets.families.vision import FAMILY as VISION
from mlops_assets.serving.engine.exchange import Inputs, Reply, replies_of
from mlops_assets.serving.engine.frames import Blob
from mlops_assets.serving.engine.model_worker import Model


class Odd:
    """A model that answers texts by what they ask for."""

    def predict(self, inputs: Sequence[Path | JsonValue]) -> list[JsonValue]:
        if "too few" in inputs:
            return []
        return [self._one(str(text)) for text in inputs]

    def _one(self, text: str) -> JsonValue:
        match text:
            case "not a number":
                return {"label": "music", "confidence": math.nan}
            case "nothing":
                return {"label": "music", "note": None}
            case "no JSON":
                return {"label": "music", "made_by": Odd}  # type: ignore[dict-item]  # pyright: ignore[reportReturnType]
            case "raises":
                raise RuntimeError("there is no answer")
            case _:
                return {"label": text}


class Reads:
    """A model that answers with what is in the files that it is given."""

    def predict(self, inputs: Sequence[Path | JsonValue]) -> list[JsonValue]:
        return [{"label": Path(str(each)).read_bytes().hex()} for each in inputs]


def asked(model: Predictor, inputs: Sequence[JsonValue | Blob], folder: Path) -> list[Reply]:
    given = Inputs.of(inputs)
    worker = Model(FAMILY, FAMILY.Config(), model, folder)
    return replies_of(worker.answer([given.letters, *given.parts]), len(given))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not a number", "Out of range float"),
        ("no JSON", "not JSON serializable"),
        ("raises", "RuntimeError: there is no answer"),
        ("too few", "0 answers for 1 inputs"),
    ],
)
def test_an_input_that_a_model_cannot_answer_costs_its_neighbours_nothing(
    tmp_path: Path, text: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, wrong, last = asked(Odd(), ["one", text, "two"], tmp_path)
    assert (first.shown, last.shown) == ("one", "two")
    assert json.loads(first.body) == {"label": "one"}
    assert wrong.failure == "model_error"
    assert why in wrong.why
    assert "Traceback" in capsys.readouterr().err


def test_null_is_an_answer_where_it_is_meant(tmp_path: Path) -> None:
    (reply,) = asked(Odd(), ["nothing"], tmp_path)
    assert json.loads(reply.body) == {"label": "music", "note": None}


def test_an_input_that_is_refused_is_not_given_to_the_model(tmp_path: Path) -> None:
    wrong, right = asked(Odd(), ["", "one"], tmp_path)
    assert "BAS010" in wrong.problem
    assert not wrong.failure
    assert right.shown == "one"


def test_media_are_files_while_they_are_looked_at_and_gone_afterwards(tmp_path: Path) -> None:
    class Trusting:
        """The baseline family, if it read files."""

        def __getattr__(self, name: str) -> object:
            return getattr(FAMILY, name)

        def refuse(self, input: Path | JsonValue, config: object) -> str:
            return ""

    given = Inputs.of([Blob(b"\x01\x02"), Blob(b"\x03")])
    model = Model(Trusting(), FAMILY.Config(), Reads(), tmp_path)  # pyright: ignore[reportArgumentType]
    replies = replies_of(model.answer([given.letters, *given.parts]), 2)
    assert [each.shown for each in replies] == ["0102", "03"]
    assert not list(tmp_path.iterdir())


def test_bytes_that_are_no_picture_are_the_clients_problem(tmp_path: Path) -> None:
    given = Inputs.of([Blob(b"no picture")])
    config = VISION.Config.model_validate({"labels": ["ripe", "unripe"]})
    model = Model(VISION, config, Reads(), tmp_path)
    (reply,) = replies_of(model.answer([given.letters, *given.parts]), 1)
    assert reply.problem
    assert not reply.failure
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("said", [[], [b"a"], [b"aa", b"{}", b"", b"{}", b""], [b"a", b"{}"]])
def test_an_answer_that_does_not_fit_the_question_is_none(said: list[bytes]) -> None:
    with pytest.raises(ValueError, match="answers for 1 inputs"):
        replies_of(said, 1)


def test_what_json_cannot_say_is_not_sent() -> None:
    with pytest.raises(TypeError):
        Inputs.of([2**64])
    assert Inputs.of([{"a": [1.5, None]}]).parts == [orjson.dumps({"a": [1.5, None]})]
