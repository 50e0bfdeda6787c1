from pathlib import Path

import numpy as np
import pytest

from mlops_assets.core.dataset import read_items
from mlops_assets.core.records.data import Item
from mlops_assets.families.speech import FAMILY
from mlops_assets_tests.families.speech.recordings import RATE, manifest, voice, write

soundfile = pytest.importorskip("soundfile")

KINDS = 20


def items(folder: Path, clips: list[tuple[str, np.ndarray, int, str]]) -> list[Item]:
    for name, wave, rate, _ in clips:
        write(folder / name, wave, rate)
    FAMILY.check(manifest(folder, [(name, text) for name, _, _, text in clips]), folder / "out", FAMILY.Config(), print)
    return read_items(folder / "out")


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    clips = [
        (f"{n}.wav", voice(3, seed=n), RATE, f"protected sentence number {n} about mango crate {n * 7}")
        for n in range(KINDS)
    ]
    return items(tmp_path_factory.mktemp("protected"), clips)


def _louder(n: int) -> tuple[str, np.ndarray, int]:
    return f"{n}.wav", voice(3, seed=n, level=0.9), RATE


def _vorbis(n: int) -> tuple[str, np.ndarray, int]:
    return f"{n}.ogg", voice(3, seed=n), RATE


def _noisy(n: int) -> tuple[str, np.ndarray, int]:
    return f"{n}.wav", voice(3, seed=n) + np.random.default_rng(n).normal(0, 0.003, 3 * RATE), RATE


def _padded(n: int) -> tuple[str, np.ndarray, int]:
    return f"{n}.wav", np.concatenate([np.zeros(4000), voice(3, seed=n), np.zeros(2000)]), RATE


def _resampled(n: int) -> tuple[str, np.ndarray, int]:
    from scipy.signal import resample_poly

    return f"{n}.wav", resample_poly(voice(3, seed=n), 441, 160), 44_100


def _trimmed(n: int) -> tuple[str, np.ndarray, int]:
    return f"{n}.wav", voice(3, seed=n)[RATE // 10 : -RATE // 10], RATE


@pytest.mark.parametrize("edit", [_louder, _vorbis, _noisy, _padded, _resampled, _trimmed])
def test_edited_recordings_of_a_protected_set_are_found(tmp_path: Path, protected: list[Item], edit: object) -> None:
    clips = [(*edit(n), f"an unrelated text {n}") for n in range(KINDS)]  # pyright: ignore[reportCallIssue]
    found = FAMILY.leaks(items(tmp_path / "batch", clips), protected)
    assert len(found) >= 0.95 * KINDS
    assert {leak.kind for leak in found} <= {"exact", "near"}


def test_the_same_recordings_and_sentences_are_found(tmp_path: Path, protected: list[Item]) -> None:
    same = items(
        tmp_path / "same", [(f"{n}.wav", voice(3, seed=n), RATE, f"an unrelated text {n}") for n in range(KINDS)]
    )
    assert [leak.kind for leak in FAMILY.leaks(same, protected)] == ["exact"] * KINDS
    texts = [f"Protected sentence, number {n}, about mango-crate {n * 7}!" for n in range(KINDS)]
    again = items(tmp_path / "text", [(f"{n}.wav", voice(3, seed=900 + n), RATE, text) for n, text in enumerate(texts)])
    found = FAMILY.leaks(again, protected)
    assert [leak.kind for leak in found] == ["text"] * KINDS
    assert [leak.protected_item for leak in found] == [item.id for item in protected]


def test_other_recordings_and_short_sentences_are_not_found(tmp_path: Path, protected: list[Item]) -> None:
    clips = [(f"{n}.wav", voice(3, seed=500 + n), RATE, f"other words {n}") for n in range(60)]
    assert FAMILY.leaks(items(tmp_path / "batch", clips), protected) == []
    assert FAMILY.leaks([], protected) == []
    assert FAMILY.leaks(protected, []) == []
