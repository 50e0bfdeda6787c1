import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.dataset import read_items
from mlops_assets.core.digests import sha256_folder
from mlops_assets.core.errors import ConfigError, Corrupt
from mlops_assets.core.family import Family
from mlops_assets.families.speech import FAMILY
from mlops_assets_tests.families.speech.models import dataset, needs_mlx, settings, tiny
from mlops_assets_tests.families.speech.recordings import RATE, voice, write

pytestmark = needs_mlx


@pytest.fixture(scope="module")
def servable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("servable")
    FAMILY.export(tiny(folder / "model"), folder / "out", settings(decode_batch=3))
    return shutil.move(folder / "out", folder / "moved")


def test_the_family_keeps_its_protocol() -> None:
    assert isinstance(FAMILY, Family)


def test_a_servable_needs_nothing_else_and_holds_no_pickle(servable: Path, tmp_path: Path) -> None:
    assert sorted(path.name for path in servable.iterdir()) == ["config.json", "decoding.json", "weights.safetensors"]
    data = dataset(tmp_path / "data", 3)
    predictions = FAMILY.load(servable).predict([data / str(item.path) for item in read_items(data)])
    assert [set(prediction) for prediction in predictions] == [{"text", "log_probability", "no_speech"}] * 3
    scores = FAMILY.score(read_items(data), predictions, FAMILY.Config())
    assert all(score["wer"].weight == 3 for score in scores)


def test_export_is_reproducible_and_halves_the_size(tmp_path: Path) -> None:
    model = tiny(tmp_path / "model")
    for name in ("a", "b"):
        FAMILY.export(model, tmp_path / name, settings())
    FAMILY.export(model, tmp_path / "wide", settings(weights="float32"))
    assert sha256_folder(tmp_path / "a") == sha256_folder(tmp_path / "b")
    sizes = [(tmp_path / name / "weights.safetensors").stat().st_size for name in ("a", "wide")]
    assert sizes[0] < 0.51 * sizes[1]


def test_predictions_do_not_depend_on_order_or_neighbours(servable: Path, tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{number}.wav", voice(seconds, seed=number))
        for number, seconds in enumerate((0.4, 2.9, 0.6, 1.4, 1.45, 0.5, 2.4))
    ]
    predictor = FAMILY.load(servable)
    together = predictor.predict(list(paths))
    assert predictor.predict(list(reversed(paths))) == together[::-1]
    assert [predictor.predict([path])[0] for path in paths] == together
    assert FAMILY.load(servable).predict(list(paths)) == together


def test_the_empty_batch_gives_nothing(servable: Path) -> None:
    assert FAMILY.load(servable).predict([]) == []
    assert FAMILY.score([], [], FAMILY.Config()) == []


def test_recordings_longer_than_the_window_are_split_where_it_is_quiet(servable: Path, tmp_path: Path) -> None:
    from mlops_assets.families.speech.servable import split

    quiet = np.concatenate([voice(2.6, 1), np.zeros(RATE // 4), voice(3, 2)]).astype(np.float32)
    stretches = split(quiet, 3.0)
    assert np.array_equal(np.concatenate(stretches), quiet)
    assert all(len(stretch) <= 3 * RATE for stretch in stretches)
    assert 2.6 <= len(stretches[0]) / RATE <= 2.85
    paths = [write(tmp_path / f"{number}.wav", stretch) for number, stretch in enumerate([quiet, *stretches])]
    whole, *parts = FAMILY.load(servable).predict(list(paths))
    assert whole["text"] == " ".join(part["text"] for part in parts if part["text"])


@given(st.lists(st.integers(0, 3), max_size=40))
def test_a_loop_is_only_what_repeats(tokens: list[int]) -> None:
    from mlops_assets.families.speech.servable import looped

    repeated = looped(tokens, 3)
    assert 0 <= repeated < max(1, len(tokens))
    assert repeated == 0 or tokens[-repeated:] == tokens[-repeated - (length := _period(tokens, repeated)) : -length]


def _period(tokens: list[int], repeated: int) -> int:
    return next(n for n in range(1, repeated + 1) if tokens[-repeated:] == tokens[-repeated - n : -n])


def test_loops_end_and_short_repetitions_stay() -> None:
    from mlops_assets.families.speech.servable import looped

    assert looped([5, 5, 5], 3) == 0
    assert looped([7] * 12, 3) == 11
    assert looped([1, 2, 3, 4] * 3, 3) == 8
    sentence = list(range(11))
    assert looped(sentence * 2, 3) == 11
    assert looped([*sentence, 99, *sentence], 3) == 0


def test_broken_model_folders_say_what_is_wrong(servable: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(servable, tmp_path / "broken")
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"n_audio_layer": 2}))
    with pytest.raises(Corrupt, match=r"does not fit its config\.json"):
        FAMILY.load(broken)
    del config["n_vocab"]
    (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="n_vocab"):
        FAMILY.load(broken)
