"""Fine-tuning: other labels, early stopping, weights and losses, broken numbers."""

from pathlib import Path

import numpy as np
import pytest

from mlops_assets.core.dataset import read_items, write_items
from mlops_assets.core.digests import sha256_folder
from mlops_assets.core.errors import ConfigError, Refused, TaskFailed
from mlops_assets.core.family import Trained
from mlops_assets.core.records.data import Item
from mlops_assets.families.text import FAMILY
from mlops_assets.families.text.augment import augmented
from mlops_assets.families.text.config import Augmentation, Config
from mlops_assets_tests.families.text.models import LABELS, SETTINGS, messages, needs_torch, tiny, write_csv

pytestmark = needs_torch


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("text") / "base")


def configured(base: Path, **changes: object) -> Config:
    return Config.model_validate({**SETTINGS, "base_model": str(base), **changes})


def dataset(folder: Path, config: Config, rows: list[dict[str, str]]) -> Path:
    FAMILY.check(write_csv(folder / "batch" / "a.csv", rows), folder / "data", config, lambda _: None)
    return folder / "data"


def trained(folder: Path, config: Config, rows: list[dict[str, str]], held: list[dict[str, str]]) -> Trained:
    data = dataset(folder / "some", config, rows)
    held_out = dataset(folder / "held", config, held) if held else folder / "none"
    if not held:
        write_items(held_out, [])
    FAMILY.base(config, folder / "base")
    return FAMILY.train(data, held_out, folder / "base", config, 3, folder / "run", lambda _: None)


def test_learns_its_messages(tmp_path: Path, base: Path) -> None:
    config = configured(base, epochs=12, learning_rate=5e-3)
    result = trained(tmp_path, config, messages(1, 120), messages(2, 30))
    assert result.stopped == "finished"
    FAMILY.export(tmp_path / "run" / "model", tmp_path / "servable", config)
    items = read_items(tmp_path / "held" / "data")
    predictions = FAMILY.load(tmp_path / "servable").predict([item.value for item in items])
    hits = [FAMILY.show(each) == item.target for each, item in zip(predictions, items, strict=True)]
    assert np.mean(hits) > 0.8
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_trains_without_held_out_data(tmp_path: Path, base: Path) -> None:
    result = trained(tmp_path, configured(base, max_steps=4), messages(1, 30), [])
    assert (result.steps, result.stopped) == (4, "finished")
    assert all(point.held_out_loss is None for point in result.curve)


def test_stops_early_and_keeps_the_best(tmp_path: Path, base: Path) -> None:
    wrong = [row | {"category": LABELS[at % 2]} for at, row in enumerate(messages(2, 30))]
    config = configured(base, epochs=30, evaluate_every=2, patience=2, learning_rate=1e-2)
    result = trained(tmp_path, config, messages(1, 60), wrong)
    losses = [point.held_out_loss for point in result.curve if point.held_out_loss is not None]
    assert result.stopped == "early stopping"
    assert losses.index(min(losses)) == len(losses) - 3


def test_goes_no_further_when_it_had_stopped_and_was_killed_before_writing(tmp_path: Path, base: Path) -> None:
    wrong = [row | {"category": LABELS[at % 2]} for at, row in enumerate(messages(2, 30))]
    config = configured(base, epochs=30, evaluate_every=2, patience=2, learning_rate=1e-2)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".model.part").write_text("in the way of the model")
    with pytest.raises(FileExistsError):
        trained(tmp_path, config, messages(1, 60), wrong)
    steps = max(int(each.name.partition("-")[2]) for each in (tmp_path / "run").glob("checkpoint-*"))
    (tmp_path / "run" / ".model.part").unlink()
    again = trained(tmp_path, config, messages(1, 60), wrong)
    whole = trained(tmp_path / "other", config, messages(1, 60), wrong)
    assert (again.steps, again.stopped) == (steps, "early stopping")
    assert sha256_folder(tmp_path / "run" / "model") == sha256_folder(tmp_path / "other" / "run" / "model")
    assert [point.held_out_loss for point in again.curve] == [point.held_out_loss for point in whole.curve]


@pytest.mark.parametrize(
    "changes",
    [
        {"class_weights": "balanced", "focal_gamma": 2.0},
        {"oversample": True, "schedule": "cosine"},
        {"augmentation": {"copies": 1, "word_dropout": 0.2, "typos": 0.2}},
        {"frozen_layers": 1, "schedule": "constant"},
    ],
    ids=lambda changes: "+".join(changes),
)
def test_every_remedy_trains(tmp_path: Path, base: Path, changes: dict[str, object]) -> None:
    rows = [row for at, row in enumerate(messages(1, 60)) if at % 3 or at < 12]
    result = trained(tmp_path, configured(base, epochs=3, **changes), rows, [])
    losses = [point.loss for point in result.curve if point.loss is not None]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_frozen_layers_stay_and_too_many_are_refused(tmp_path: Path, base: Path) -> None:
    from safetensors.numpy import load_file

    trained(tmp_path, configured(base, max_steps=3, frozen_layers=1), messages(1, 30), [])
    before, after = (load_file(tmp_path / each / "model.safetensors") for each in ("base", "run/model"))
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert any("layer.1." in name for name in moved)
    assert not any("layer.0." in name or "embeddings.word" in name for name in moved)
    with pytest.raises(ConfigError, match="2 layers"):
        trained(tmp_path / "more", configured(base, frozen_layers=9), messages(1, 30), [])


def test_other_labels_get_a_new_head_that_keeps_the_known_rows(tmp_path: Path, base: Path) -> None:
    from safetensors.numpy import load_file

    trained(tmp_path, configured(base, max_steps=3), messages(1, 30), [])
    old = load_file(tmp_path / "run" / "model" / "model.safetensors")["classifier.weight"]
    config = configured(base, labels=("greet", "complain", "deliver"), max_steps=1, learning_rate=1e-9)
    data = dataset(tmp_path / "next", config, [row for row in messages(4, 30) if row["category"] != "refund"])
    write_items(tmp_path / "empty", [])
    FAMILY.train(data, tmp_path / "empty", tmp_path / "run" / "model", config, 1, tmp_path / "again", lambda _: None)
    new = load_file(tmp_path / "again" / "model" / "model.safetensors")["classifier.weight"]
    np.testing.assert_allclose(new[0], old[LABELS.index("greet")], atol=1e-6)
    np.testing.assert_allclose(new[2], old[LABELS.index("deliver")], atol=1e-6)
    assert not np.allclose(new[1], old[LABELS.index("refund")], atol=1e-3)


def test_numbers_that_break_down_are_said_so(tmp_path: Path, base: Path) -> None:
    config = configured(base, learning_rate=0.1, clip_norm=1e30, warmup_share=0.0, epochs=200, weight_decay=1.0)
    from safetensors.numpy import load_file, save_file

    data = dataset(tmp_path / "some", config, messages(1, 30))
    FAMILY.base(config, tmp_path / "base")
    weights = load_file(tmp_path / "base" / "model.safetensors")
    weights["classifier.weight"] = weights["classifier.weight"] * np.float32("nan")
    save_file(weights, tmp_path / "base" / "model.safetensors", metadata={"format": "pt"})
    write_items(tmp_path / "empty", [])
    with pytest.raises(TaskFailed, match="Lower learning_rate"):
        FAMILY.train(data, tmp_path / "empty", tmp_path / "base", config, 1, tmp_path / "run", lambda _: None)


def test_nothing_to_train_on_is_refused(tmp_path: Path, base: Path) -> None:
    config = configured(base)
    FAMILY.base(config, tmp_path / "base")
    write_items(tmp_path / "data", [Item(id="a", value="hello", target="unheard of", cluster="a")])
    with pytest.raises(Refused, match="No item"):
        FAMILY.train(
            tmp_path / "data", tmp_path / "data", tmp_path / "base", config, 1, tmp_path / "run", lambda _: None
        )


def test_a_base_model_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        FAMILY.base(Config(labels=LABELS, base_model=str(tmp_path / "nowhere")), tmp_path / "out")


def test_augmented_copies_are_seeded_and_keep_a_word() -> None:
    settings = Augmentation(copies=1, word_dropout=0.9, typos=1.0)
    copies = [augmented("please deliver my parcel", settings, str(seed)) for seed in range(50)]
    assert copies == [augmented("please deliver my parcel", settings, str(seed)) for seed in range(50)]
    assert all(copies)
    assert len(set(copies)) > 3
