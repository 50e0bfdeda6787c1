"""Which recordings are kept, and with what."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.core.dataset import read_items
from mlops_assets.core.family import Progress
from mlops_assets.families.speech import FAMILY
from mlops_assets.families.speech.findings import FINDINGS
from mlops_assets_tests.families.speech.checked import TEXT, check, codes, one
from mlops_assets_tests.families.speech.recordings import RATE, manifest, voice, write

soundfile = pytest.importorskip("soundfile")


def test_a_good_batch_is_kept_with_everything_later_steps_need(tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    for number in range(3):
        write(folder / f"clips/{number}.wav", voice(2, seed=number))
    rows = [
        ("clips/0.wav", " Send  crate one. ", "Anna", "EN"),
        ("./clips/1.wav", "=cmd|' /C calc'!A0 send crate two", "../x", "en-US"),
        ("clips/2.wav", "send crate three", "", ""),
    ]
    manifest(folder, rows, ("path", "transcript", "speaker", "language"))
    reports: list[Progress] = []
    checked = FAMILY.check(folder, tmp_path / "out", FAMILY.Config(), reports.append)
    first, second, third = read_items(tmp_path / "out")
    assert (checked.total, checked.kept, checked.findings, checked.quality_score) == (3, 3, (), 10.0)
    assert checked.statistics == {"seconds": 6.0, "speakers": 3, "words": pytest.approx(13, abs=3)}
    assert first.target == "Send crate one."
    assert first.cluster == "anna"
    assert "speaker:anna" in first.slices
    assert {"language:en", "length:short"} <= set(first.slices)
    assert str(second.target).startswith("=cmd")
    assert ".." not in second.cluster
    assert third.cluster == third.id
    assert set(first.fingerprints) == {"pcm", "audio", "shifted", "text"}
    assert FAMILY.units([first, second, third]) == 6.0
    assert reports[-1].done == reports[-1].total == 3


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("wav", "PCM_U8"), ("flac", None), ("ogg", "VORBIS")],
)
def test_accepted_formats(tmp_path: Path, suffix: str, subtype: str | None) -> None:
    checked, items = check(one(tmp_path / "batch", voice(2), f"a.{suffix}", subtype=subtype))
    assert codes(checked) == []
    assert items[0].attributes["seconds"] == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled(tmp_path: Path, rate: int) -> None:
    checked, items = check(one(tmp_path / "batch", voice(2, rate=rate), rate=rate))
    assert codes(checked) == []
    assert items[0].attributes["seconds"] == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(
    ("code", "wave"),
    [
        ("SPC012", np.zeros(0)),
        ("SPC018", voice(0.01)),
        ("SPC018", voice(31)),
        ("SPC019", np.zeros(RATE)),
        ("SPC019", np.full(RATE, 0.5)),
        ("SPC019", np.random.default_rng(0).integers(0, 2, RATE) / 32_768),
        ("SPC016", np.repeat(voice(1)[:, None], 64, axis=1)),
    ],
)
def test_unusable_signals_are_dropped(tmp_path: Path, code: str, wave: np.ndarray) -> None:
    checked, items = check(one(tmp_path / "batch", wave))
    assert codes(checked) == [code]
    assert (checked.total, items, checked.quality_score) == (1, [], 0.0)


@pytest.mark.parametrize("rate", [4_000, 384_000])
def test_sample_rates_out_of_range_are_dropped(tmp_path: Path, rate: int) -> None:
    assert codes(check(one(tmp_path / "batch", voice(1, rate=rate), rate=rate))[0]) == ["SPC017"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_numbers_are_dropped(tmp_path: Path, bad: float) -> None:
    wave = voice(1)
    wave[100] = bad
    assert codes(check(one(tmp_path / "batch", wave, subtype="FLOAT"))[0]) == ["SPC015"]


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610", "ULAW"])
def test_encodings_not_on_the_list_are_dropped(tmp_path: Path, subtype: str) -> None:
    assert codes(check(one(tmp_path / "batch", voice(1), subtype=subtype))[0]) == ["SPC011"]


def _bytes(folder: Path, data: bytes, name: str = "a.wav") -> Path:
    folder.mkdir()
    (folder / name).write_bytes(data)
    return manifest(folder, [(name, TEXT)])


def test_damaged_files_are_dropped(tmp_path: Path) -> None:
    wav = write(tmp_path / "whole.wav", voice(2)).read_bytes()
    flac = write(tmp_path / "whole.flac", voice(2)).read_bytes()
    ogg = write(tmp_path / "whole.ogg", voice(2)).read_bytes()
    write(tmp_path / "whole.mp3", voice(2))
    mono = bytearray(wav)
    struct.pack_into("<H", mono, 22, 0)
    cases = {
        "SPC012": [(b"", "a.wav"), (wav[:44], "a.wav"), (wav[:40] + bytes(4), "a.wav")],
        "SPC013": [(wav[: len(wav) // 2], "a.wav"), (ogg[: len(ogg) // 2], "a.ogg")],
        "SPC014": [(flac[: len(flac) // 2], "a.flac"), (bytes(mono), "a.wav")],
        "SPC010": [
            ((tmp_path / "whole.mp3").read_bytes(), "a.wav"),
            (b"this is a text file, renamed", "a.wav"),
            (b"RIFF\x10\0\0\0AVI LIST", "a.wav"),
        ],
    }
    for code, files in cases.items():
        for number, (data, name) in enumerate(files):
            checked, _ = check(_bytes(tmp_path / f"{code}-{number}", data, name))
            found = codes(checked)
            assert (
                found == [code]
                or (name == "a.flac" and found in (["SPC013"], ["SPC014"]))
                or (data == wav[:44] and found == ["SPC013"])
            ), (code, number, checked.findings)


def test_flags_keep_the_item_and_lower_the_quality(tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    write(folder / "stereo.wav", np.stack([voice(2, 1), voice(2, 1)], axis=1))
    write(folder / "clipped.wav", np.clip(voice(2, 2) * 30, -1, 1))
    write(folder / "script.wav", voice(2, 3))
    write(folder / "german.wav", voice(2, 4))
    rows = [
        ("stereo.wav", TEXT, ""),
        ("clipped.wav", TEXT + " please", ""),
        ("script.wav", "отправьте ящик семь", ""),
        ("german.wav", "die Kiste sieben bitte", "de"),
    ]
    checked, items = check(manifest(folder, rows, ("path", "transcript", "language")))
    assert codes(checked) == ["SPC030", "SPC031", "SPC032", "SPC033"]
    assert all(found.severity == "flag" for found in checked.findings)
    assert len(items) == 4
    assert "script:other" in items[2].slices
    assert "language:de" in items[3].slices
    assert checked.quality_score == pytest.approx((8 + 5 + 5 + 5) / 4)


def test_the_same_recording_is_kept_once(tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    rows = []
    for number in range(30):
        write(folder / f"{number}.wav", voice(2))
        rows.append((f"{number}.wav", TEXT.upper() if number % 2 else TEXT))
    write(folder / "louder.flac", voice(2, level=0.8))
    write(folder / "slower.wav", voice(2, rate=44_100), 44_100)
    checked, items = check(manifest(folder, [*rows, ("louder.flac", TEXT), ("slower.wav", TEXT)]))
    assert len(items) == 1
    assert codes(checked).count("SPC023") == 29
    assert codes(checked)[-2] == "SPC024"


def test_a_recording_with_two_transcripts_is_dropped_altogether(tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    for name in ("a.wav", "b.wav", "c.wav"):
        write(folder / name, voice(2))
    write(folder / "d.wav", voice(2, seed=5))
    rows = [("a.wav", TEXT), ("b.wav", "hold the crate"), ("c.wav", TEXT), ("d.wav", TEXT)]
    checked, items = check(manifest(folder, rows))
    assert codes(checked) == ["SPC025"] * 3
    assert [item.attributes["file"] for item in items] == ["d.wav"]


def test_every_code_is_documented_and_unique() -> None:
    assert dict(FAMILY.findings) == FINDINGS
    assert all(code.startswith("SPC") and title for code, title in FINDINGS.items())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=3000), cut=st.integers(0, 2000), flips=st.lists(st.integers(0, 1999), max_size=5))
def test_no_bytes_break_the_check(tmp_path: Path, data: bytes, cut: int, flips: list[int]) -> None:
    """Random bytes, and a WAV with flipped bits and a random end, are kept or dropped; nothing is raised."""
    whole = bytearray(write(tmp_path / "whole.wav", voice(0.5)).read_bytes())
    for flip in flips:
        whole[flip] ^= 0x55
    folder = tmp_path / "batch"
    folder.mkdir(exist_ok=True)
    (folder / "random.wav").write_bytes(data)
    (folder / "flipped.wav").write_bytes(whole[: len(whole) - cut])
    (folder / "manifest.csv").write_bytes(b"path,transcript\nrandom.wav,one two\nflipped.wav,one two\n" + data)
    checked, _ = check(folder)
    assert checked.total >= checked.kept
