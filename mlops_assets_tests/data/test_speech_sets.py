import csv
import io
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from mlops_assets.core.digests import sha256_file, sha256_folder

soundfile = pytest.importorskip("soundfile", reason="the speech extra is not installed")

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data"
FOLDERS = {"golden": DATA / "golden/speech", "sealed": DATA / "golden/speech-sealed"}
SAMPLES = DATA / "samples/speech"
BUDGET = 9 * 2**20
RECIPE = tomllib.loads((DATA / "speech/recipe.toml").read_text())
SOUND_BATCHES = ("good", "wrong-transcripts", "small")


def rows(name: str) -> list[dict[str, str]]:
    if name in FOLDERS:
        return list(csv.DictReader((FOLDERS[name] / "manifest.csv").read_text(encoding="utf-8").splitlines()))
    with zipfile.ZipFile(SAMPLES / f"{name}.zip") as archive:
        names = set(archive.namelist())
        if "manifest.csv" in names:
            return list(csv.DictReader(io.StringIO(archive.read("manifest.csv").decode())))
        if "manifest.jsonl" in names:
            return [json.loads(line) for line in archive.read("manifest.jsonl").decode().splitlines()]
        texts = [n for n in sorted(names) if n.endswith(".txt")]
        audio = {Path(n).stem: n for n in names if not n.endswith(".txt")}
        return [{"path": audio[Path(n).stem], "transcript": archive.read(n).decode().strip()} for n in texts]


def audio(name: str, path: str) -> io.BytesIO:
    if name in FOLDERS:
        return io.BytesIO((FOLDERS[name] / path).read_bytes())
    with zipfile.ZipFile(SAMPLES / f"{name}.zip") as archive:
        return io.BytesIO(archive.read(path))


def templates(name: str) -> list[re.Pattern[str]]:
    return [
        re.compile(re.sub(r"\\\{\w+\\\}", "(.+)", re.escape(t)), re.IGNORECASE)
        for t in RECIPE["sets"][name]["templates"]
    ]


@pytest.mark.parametrize("name", [*FOLDERS, *SOUND_BATCHES])
def test_every_recording_decodes_to_sixteen_kilohertz_mono_of_ordinary_length_and_pace(name):
    listed = rows(name)
    assert len(listed) == RECIPE["sets"][name]["count"]
    for row in listed:
        samples, rate = soundfile.read(audio(name, row["path"]))
        assert rate == 16_000
        assert samples.ndim == 1
        assert 1.5 <= len(samples) / rate <= 6.0
        assert abs(samples).max() > 0.3
        assert 5 <= len(row["transcript"]) / (len(samples) / rate) <= 30


@pytest.mark.parametrize("name", [*FOLDERS, *SOUND_BATCHES])
def test_a_set_holds_no_sentence_twice(name):
    texts = [row["transcript"].lower() for row in rows(name)]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(("name", "voices"), [("golden", 24), ("sealed", 14)])
def test_golden_has_many_voices_of_five_utterances_and_says_that_they_are_synthetic(name, voices):
    listed = rows(name)
    speakers = [row["speaker"] for row in listed]
    assert len(set(speakers)) >= voices
    assert all(speakers.count(speaker) == 5 for speaker in speakers)
    assert {row["origin"] for row in listed} == {"synthetic"}
    assert {row["language"] for row in listed} == {"en"}


@pytest.mark.parametrize(
    ("golden", "name"),
    [(each, name) for each in FOLDERS for name in (*SOUND_BATCHES, "broken")] + [("sealed", "golden")],
)
def test_golden_shares_no_voice_no_template_and_no_sentence_with_a_batch(golden, name):
    def variants(chosen: str) -> set[str]:
        return {voice.split(":")[1].split("+")[-1] for voice in RECIPE["sets"][chosen]["voices"]}

    assert not variants(golden) & variants(name)
    batch = [row["transcript"] for row in rows(name)]
    assert not any(pattern.fullmatch(text) for pattern in templates(golden) for text in batch)
    kept = [row["transcript"] for row in rows(golden)]
    assert not any(pattern.fullmatch(text) for pattern in templates(name) for text in kept)


def test_wrong_transcripts_are_the_sentences_of_other_recordings():
    made = subprocess.run([sys.executable, "-c", _TRUTH], cwd=ROOT, capture_output=True, text=True, check=True)
    spoken = [text for _, text in json.loads(made.stdout)]
    given = [row["transcript"] for row in rows("wrong-transcripts")]
    assert sorted(spoken) == sorted(given)
    assert not any(a == b for a, b in zip(spoken, given, strict=True))


_TRUTH = """
import json, tomllib
from pathlib import Path
from data.speech.make import sentences
print(json.dumps(sentences(tomllib.loads(Path("data/speech/recipe.toml").read_text()), "wrong-transcripts")))
"""


def test_the_batches_bring_every_format_and_every_kind_of_manifest():
    suffixes, manifests = set(), set()
    for path in SAMPLES.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        suffixes |= {Path(n).suffix for n in names if n.startswith("audio/")}
        manifests |= {n for n in names if n.startswith("manifest")}
    assert suffixes == {".wav", ".flac", ".ogg", ".txt"}
    assert manifests == {"manifest.csv", "manifest.jsonl"}


def test_more_than_a_fifth_of_the_broken_batch_is_broken():
    readable = 0
    listed = rows("broken")
    with zipfile.ZipFile(SAMPLES / "broken.zip") as archive:
        names = archive.namelist()
    for row in listed:
        if row["path"] not in names or not row["transcript"].strip():
            continue
        try:
            samples, _ = soundfile.read(audio("broken", row["path"]))
        except soundfile.LibsndfileError:
            continue
        readable += samples.ndim == 1 and len(samples) > 1_600 and 0.3 < abs(samples).max() < 2
    assert 4 <= readable < 0.8 * len(listed)


def test_the_committed_bytes_are_those_that_were_recorded_and_stay_small():
    digests = json.loads((DATA / "speech/digests.json").read_text())["digests"]
    for folder in FOLDERS.values():
        assert digests.pop(folder.relative_to(DATA).as_posix()) == sha256_folder(folder)
    assert digests == {f"samples/speech/{p.name}": sha256_file(p) for p in sorted(SAMPLES.glob("*.zip"))}
    files = [path for folder in (*FOLDERS.values(), SAMPLES) for path in folder.rglob("*")]
    assert sum(path.stat().st_size for path in files if path.is_file()) < BUDGET


def test_the_same_script_makes_the_same_bytes():
    done = subprocess.run(
        [sys.executable, "-m", "data.speech.make", "--check"],
        cwd=DATA.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if "not found" in done.stderr or done.returncode == 3:
        pytest.skip(f"other tools than the recorded ones: {done.stdout}{done.stderr}")
    assert done.returncode == 0, done.stdout + done.stderr
