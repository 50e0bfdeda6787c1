"""What training does with classes, views and numbers that break, and where weights come from."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from mlops_assets.core.errors import ConfigError, TaskFailed
from mlops_assets.families.vision import FAMILY
from mlops_assets_tests.families.vision.models import SETTINGS
from mlops_assets_tests.families.vision.photographs import by_folder

pytest.importorskip("tensorflow")
pytest.importorskip("PIL")
REAL = Path(__file__).parents[3] / "data/models/mobilenetv2-160/weights.h5"


def config(**changes: object) -> BaseModel:
    return FAMILY.Config.model_validate({**SETTINGS, **changes})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    FAMILY.base(config(), folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    FAMILY.check(by_folder(folder / "batch", range(4)), folder / "data", config(), lambda _: None)
    return folder / "data"


def weights(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "weights.safetensors")


def test_the_head_learns_first_then_the_top_and_never_what_lies_below(base: Path, data: Path, tmp_path: Path) -> None:
    seen = []
    chosen = config(head_epochs=3, head_learning_rate=3e-4, fine_tune_epochs=1, precision="float")
    trained = FAMILY.train(data, data, base, chosen, 1, tmp_path, seen.append)
    before, after = weights(base), weights(tmp_path / "model")
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert {"head/kernel", "head/bias"} <= changed
    assert changed <= {"head/kernel", "head/bias", "Conv_1/kernel"} | {
        f"block_16_{part}/kernel" for part in ("expand", "depthwise", "project")
    }
    assert trained.device == "cpu"
    assert trained.curve[0].held_out_loss == pytest.approx(np.log(3), abs=1e-5)
    assert seen[-1].done == seen[-1].total == trained.steps
    assert not list(tmp_path.glob("checkpoint-*"))


def test_an_int8_line_trains_on_weights_that_int8_can_hold(base: Path, data: Path, tmp_path: Path) -> None:
    from mlops_assets.families.vision.network import rounded

    FAMILY.train(data, data, base, config(head_epochs=1, fine_tune_epochs=0), 1, tmp_path, lambda _: None)
    for name, kernel in weights(tmp_path / "model").items():
        if kernel.ndim == 4:
            np.testing.assert_allclose(rounded(kernel, "depthwise" in name), kernel, rtol=1e-6)
            assert not np.array_equal(kernel, weights(base)[name])


def test_a_label_that_is_new_or_moved_keeps_what_is_known_of_the_others(base: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    from mlops_assets.families.vision.network import load, read_settings

    old = np.random.default_rng(0).random((1280, 3), np.float32)
    shutil.copytree(base, tmp_path / "model")
    save_file(weights(base) | {"head/kernel": old}, tmp_path / "model/weights.safetensors")
    moved = read_settings(base).model_copy(update={"labels": ("blue", "yellow", "green")})
    kernel = np.asarray(load(tmp_path / "model", moved).head.kernel)
    np.testing.assert_array_equal(kernel, np.stack([old[:, 2], np.zeros(len(old)), old[:, 0]], axis=1))


def test_numbers_that_break_end_training_with_what_to_do(base: Path, data: Path, tmp_path: Path) -> None:
    broken = config(head_learning_rate=1.0, weight_decay=0, clip_norm=1e38, fine_tune_epochs=0)
    from safetensors.numpy import save_file

    shutil.copytree(base, parent := tmp_path / "parent")
    save_file(weights(base) | {"head/bias": np.full(3, np.nan, "f4")}, parent / "weights.safetensors")
    with pytest.raises(TaskFailed, match=r"broke down after step 0.*Lower head_learning_rate"):
        FAMILY.train(data, data, parent, broken, 1, tmp_path / "run", lambda _: None)


def test_another_width_than_the_parents_is_refused(base: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"width 0\.35, the line asks for 0\.5"):
        FAMILY.train(data, data, base, config(width=0.5), 1, tmp_path, lambda _: None)


def test_rare_classes_count_more() -> None:
    from sklearn.utils.class_weight import compute_sample_weight

    from mlops_assets.families.vision.dataset import balanced

    classes = np.array([0, 0, 0, 2, 2, 3])
    np.testing.assert_allclose(balanced(classes, 5), compute_sample_weight("balanced", classes), rtol=1e-6)


def test_views_depend_on_seed_pass_and_picture_alone() -> None:
    from mlops_assets.families.vision.augmentation import views

    pixels = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), np.uint8)
    first = views(pixels, np.array([0, 1, 2, 3]), config(), 1, 2)
    np.testing.assert_array_equal(views(pixels, np.array([3, 1]), config(), 1, 2), first[[3, 1]])
    assert not np.array_equal(views(pixels, np.array([0]), config(), 1, 3), first[:1])
    still = config(rotation=0, zoom=0, shift=0, mirror=False, light=0)
    np.testing.assert_array_equal(views(pixels, np.array([0, 1]), still, 1), pixels[:2])


class Variable:
    """What `copy_weights` needs of a weight of Keras."""

    def __init__(self, value: np.ndarray) -> None:
        self.shape, self.value = value.shape, np.zeros_like(value)

    def assign(self, value: np.ndarray) -> None:
        self.value = value


def test_base_weights_are_found_by_layer_in_files_of_any_keras(tmp_path: Path) -> None:
    import h5py
    from safetensors.numpy import save_file

    from mlops_assets.families.vision.weights import copy_weights, find_file

    draw = np.random.default_rng(0)
    shapes = {"Conv1/kernel": (3, 3, 3, 16), "bn_Conv1/moving_mean": (16,), "block_1_depthwise/kernel": (3, 3, 16, 1)}
    stored = {key: draw.random(shape, np.float32) for key, shape in shapes.items()}
    with h5py.File(tmp_path / "old.h5", "w") as file:
        for key, array in stored.items():
            layer, kind = key.split("/")
            kind = "depthwise_kernel" if "depthwise" in layer else kind
            file[f"model_weights/mobilenetv2/{layer}/{kind}:0"] = array
        file["optimizer_weights/Conv1/kernel"] = np.zeros(shapes["Conv1/kernel"])
    save_file(stored, tmp_path / "weights.safetensors")
    for source in ("old.h5", "weights.safetensors", "."):
        path = find_file(str(tmp_path / source))
        assert path is not None
        variables = {key: Variable(array) for key, array in stored.items()}
        copy_weights(path, variables)
        assert all(np.array_equal(each.value, stored[key]) for key, each in variables.items())


def test_base_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    import h5py

    from mlops_assets.families.vision.weights import copy_weights

    with pytest.raises(ConfigError, match=r"There are no base weights at .*missing\.h5"):
        FAMILY.base(config(base_weights=str(tmp_path / "missing.h5")), tmp_path / "model")
    (tmp_path / "text.h5").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    h5py.File(tmp_path / "empty.h5", "w").close()
    for name, words in {
        "text.h5": "is no HDF5 file",
        "text.safetensors": "is no safetensors file",
        "empty.h5": r"does not fit this MobileNetV2: 1 weights differ \(Conv1/kernel",
    }.items():
        with pytest.raises(ConfigError, match=words):
            copy_weights(tmp_path / name, {"Conv1/kernel": Variable(np.zeros((3, 3, 3, 16)))})


@pytest.mark.skipif(not REAL.is_file(), reason="the base weights were not fetched (python data/fetch.py)")
def test_the_packaged_weights_are_a_whole_backbone(tmp_path: Path) -> None:
    FAMILY.base(config(base_weights=str(REAL.parent), size=160, width=1.0), tmp_path)
    stored = weights(tmp_path)
    assert len(stored) == 262
    assert stored["Conv_1/kernel"].shape == (1, 1, 320, 1280)
    assert np.abs(stored["Conv_1_bn/moving_variance"] - 1).mean() > 0.1
