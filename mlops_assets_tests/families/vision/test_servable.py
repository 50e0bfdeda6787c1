"""What is served: without TensorFlow, smaller in INT8, and the same for any picture format."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.core.dataset import item_input, read_items
from mlops_assets.families.vision import FAMILY
from mlops_assets.families.vision.findings import Fault
from mlops_assets_tests.families.vision.models import SETTINGS
from mlops_assets_tests.families.vision.photographs import by_folder, disc, encoded, put

pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")

WITHOUT = """
import sys
for name in ("tensorflow", "keras", "torch", "transformers", "h5py", "safetensors", "scipy"):
    sys.modules[name] = None
import json
from pathlib import Path
from mlops_assets.families.vision import FAMILY
print(json.dumps([FAMILY.load(Path(folder)).predict([Path(sys.argv[1])]) for folder in sys.argv[2:]]))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model, what is served of it, and its companions."""
    folder = tmp_path_factory.mktemp("made")
    config = FAMILY.Config.model_validate(SETTINGS)
    FAMILY.check(by_folder(folder / "batch", range(8)), folder / "data", config, lambda _: None)
    FAMILY.base(config, folder / "model")
    FAMILY.export(folder / "model", folder / "served", config)
    FAMILY.companions(folder / "data", folder / "model", folder, config, 1)
    return folder


def test_serving_needs_no_training_framework(made: Path, tmp_path: Path) -> None:
    picture = put(tmp_path, "a.jpg", encoded(disc("red", 1), "JPEG"))
    folders = [str(made / name) for name in ("served", "reference", "classical")]
    run = subprocess.run([sys.executable, "-c", WITHOUT, str(picture), *folders], stdout=subprocess.PIPE, check=True)
    for (answer,) in json.loads(run.stdout):
        assert set(answer) == {"label", "confidence", "probabilities"}
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert answer["confidence"] == max(answer["probabilities"].values())


def test_int8_takes_and_gives_bytes_and_is_smaller(made: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    served, reference = (made / name / "model.tflite" for name in ("served", "reference"))
    assert served.stat().st_size < 0.45 * reference.stat().st_size
    interpreter = Interpreter(model_path=str(served))
    assert {each["dtype"] for each in interpreter.get_tensor_details() if each["name"] == "image"} <= {
        np.uint8,
        np.int8,
    }
    (taken,) = interpreter.get_input_details()
    scale, zero = taken["quantization"]
    assert taken["dtype"] == np.uint8
    assert (scale * (0 - zero), scale * (255 - zero)) == pytest.approx((-1, 1), abs=0.005)
    known = json.loads((made / "served/vision.json").read_text())
    assert known["labels"] == SETTINGS["labels"]
    assert known["preprocessing"]["values"] == [0, 255]


def test_the_mean_colour_rule_tells_discs_of_different_colours(made: Path) -> None:
    items = read_items(made / "data")
    answers = FAMILY.load(made / "classical").predict([item_input(made / "data", item) for item in items])
    assert np.mean([FAMILY.show(answer) == item.target for answer, item in zip(answers, items, strict=True)]) > 0.9


def test_a_float_line_has_no_float_twin(made: Path, tmp_path: Path) -> None:
    config = FAMILY.Config.model_validate({**SETTINGS, "precision": "float"})
    FAMILY.companions(made / "data", made / "model", tmp_path, config, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["classical"]


def test_a_file_that_is_no_picture_is_an_error_with_its_reason(made: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="not a JPEG, PNG or WebP picture"):
        FAMILY.load(made / "classical").predict([put(tmp_path, "a.jpg", b"no picture")])
