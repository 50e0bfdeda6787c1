import json

import numpy as np
import pytest

from mlops_assets.core.errors import ConfigError, PlatformError
from mlops_assets.families.preference import FAMILY, network
from mlops_assets.families.preference.model import Events, encode, fitted, untrained
from mlops_assets_tests.families.preference.events import events
from mlops_assets_tests.families.preference.prepared import TINY, check, servable, train, value

pytest.importorskip("onnxruntime", reason="the preference extra is not installed")
tensors = pytest.importorskip("safetensors.numpy", reason="the preference extra is not installed")


def test_the_gradient_is_the_slope_of_the_loss():
    rng = np.random.default_rng(1)
    values = [
        {"user": f"u{rng.integers(4)}", "type": "abc"[rng.integers(3)], "key": "xy"[rng.integers(2)], "bars": 2.0**at}
        for at in range(9)
    ] * 4
    model = fitted(untrained(TINY), values, TINY)
    weights = {name: rng.normal(0, 0.5, array.shape) for name, array in model.weights.items()}
    weights["user"][0] = 0
    found = encode(model.shape, values, rng.integers(1, 6, len(values)).tolist())
    shown = Events(
        np.where(rng.random(len(values)) < 0.3, 0, found.users), found.categories, found.numbers, found.levels
    )
    columns = tuple(model.shape.categories)
    loss, slopes, rows = network.gradient(weights, columns, shown)
    assert loss == pytest.approx(network.loss(weights, columns, shown))
    assert not slopes["user"][rows == 0].any()
    slopes["user"] = np.vstack([slopes["user"][rows == row] if row in rows else 0 * weights["user"][:1]
                                for row in range(len(weights["user"]))])  # fmt: skip
    for name, array in weights.items():
        for at in list(np.ndindex(array.shape))[:: max(1, array.size // 12)]:
            if name == "user" and at[0] == 0:
                continue
            before = array[at]
            array[at] = before + 1e-6
            above = network.loss(weights, columns, shown)
            array[at] = before - 1e-6
            below = network.loss(weights, columns, shown)
            array[at] = before
            assert slopes[name][at] == pytest.approx((above - below) / 2e-6, abs=1e-7), (name, at)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Items of eight users and the model trained on them."""
    folder = tmp_path_factory.mktemp("first")
    _, items = check(folder, events(3))
    return items, train(folder, items)


def test_training_learns_tastes_and_average_opinions(first, tmp_path):
    items, model = first
    predictor = FAMILY.load(servable(tmp_path / "servable", model))
    known = predictor.predict([item.value for item in items])
    unknown = predictor.predict([item.value | {"user": "nobody knows me"} for item in items])
    errors = [value(items, each, "rmse") for each in (known, unknown)]
    spread = np.var([item.attributes["rating"] for item in items])
    assert errors[0] < 0.6 * spread
    assert errors[0] < errors[1] < 1.1 * spread
    assert all(each["known_user"] for each in known)
    assert not any(each["known_user"] for each in unknown)
    failed, done = predictor.predict([{"type": "chords", "bars": 8, "success": success} for success in (False, True)])
    assert failed["rating"] < done["rating"]


def test_fine_tuning_keeps_the_users_it_does_not_see_and_adds_new_ones(first, tmp_path):
    _, parent = first
    _, more = check(tmp_path, events(9))
    child = train(tmp_path, more, parent=parent)
    before, after = (json.loads((model / "model.json").read_text()) for model in (parent, child))
    old, new = (tensors.load_file(model / "weights.safetensors") for model in (parent, child))
    assert after["users"][: len(before["users"])] == before["users"]
    assert len(after["users"]) == len(before["users"]) + 8
    assert np.array_equal(new["user"][: len(old["user"])], old["user"])
    assert new["user"][len(old["user"]) :].any()
    assert after["scales"] == before["scales"]
    assert after["categories"]["type"] == before["categories"]["type"]


def test_what_is_seen_once_stays_other_and_a_vocabulary_is_closed(tmp_path):
    rows = events(3)
    rows += [rows[0] | {"type": kind, "timestamp": f"2026-02-02T00:00:0{at}Z"} for at, kind in enumerate("aabcc")]
    config = TINY.model_copy(update={"vocabulary": {"type": ("chords", "c")}})
    for name, settings, known in (("open", TINY, {"a", "c"}), ("closed", config, {"c"})):
        _, items = check(tmp_path / name, rows, settings)
        shape = json.loads((train(tmp_path / name, items, settings) / "model.json").read_text())
        assert set(shape["categories"]["type"]) & {"a", "b", "c"} == known


def test_training_stops_early_with_the_best_weights_where_it_is_told_to(tmp_path):
    _, items = check(tmp_path, events(3))
    opposite = [
        item.model_copy(update={"target": {"rating": 6 - item.attributes["rating"], "likes": False}}) for item in items
    ]
    config = TINY.model_copy(update={"patience": 2, "user_dropout": 0.0})
    model = train(tmp_path, items, config, held_out=opposite)
    state = json.loads((tmp_path / "checkpoint.json").read_text())
    assert state["stopped"] == "early stopping"
    assert len(state["curve"]) < config.epochs
    best = tensors.load_file(tmp_path / state["tensors"])
    assert np.array_equal(tensors.load_file(model / "weights.safetensors")["hidden"], best["best/hidden"])


def test_a_line_may_not_change_its_columns_under_its_model(first, tmp_path):
    items, parent = first
    config = TINY.model_copy(update={"categorical": ("type", "mood")})
    with pytest.raises(ConfigError, match="columns, scale or network differ"):
        train(tmp_path, items, config, parent=parent)


def test_nothing_to_train_on_and_a_diverging_training_are_errors(first, tmp_path):
    items, parent = first
    with pytest.raises(PlatformError, match="no rating"):
        train(tmp_path / "empty", [], parent=parent)
    weights = tensors.load_file(parent / "weights.safetensors")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.json").write_text((parent / "model.json").read_text())
    (broken / "weights.safetensors").write_bytes(tensors.save(weights | {"quality": weights["quality"] * np.nan}))
    with pytest.raises(PlatformError, match="diverged"):
        train(tmp_path / "nan", items, parent=broken)
