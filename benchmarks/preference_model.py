"""Which model for preferences: the family's network, gradient boosting, a network over indicators, or a bias model.

All learn from the good sample batch and are judged on the golden set, known and new users apart (cold start). The
events are replayed and SYNTHETIC: their users' tastes are partly sums and products of features, which a factorisation
finds more easily than trees do, so this alone would prove little; `preference_ratings.py` has real ratings. The
settings of the network were found with these sets in sight, scikit-learn's are its defaults with the users and names
as categories (boosting) or indicators (network). `docs/adr/0008-preference-model.md` draws the conclusion.
"""

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from alternate import show

from mlops_assets.core.dataset import read_items, write_items
from mlops_assets.core.records.data import Item
from mlops_assets.families.preference import FAMILY
from mlops_assets.families.preference.config import Config

DATA = Path(__file__).parents[1] / "data"
CONFIG, SEED = Config(), 7
NAMES = ("user", "type", "command", "key", "success")


def features(items: list[Item]) -> np.ndarray:
    """Return names and the logarithm of the length, shape (items, 6), as objects."""
    values = [item.value for item in items if isinstance(item.value, dict)]
    return np.array(
        [[*(str(value[name]) for name in NAMES), np.log2(float(str(value["bars"])))] for value in values], object
    )


def network(folder: Path, golden: list[Item]) -> list[Any]:
    """Train, export and ask the family's model."""
    write_items(folder / "nothing", [])
    FAMILY.base(CONFIG, folder / "base")
    FAMILY.train(folder / "good", folder / "nothing", folder / "base", CONFIG, SEED, folder, lambda _: None)
    FAMILY.export(folder / "model", folder / "servable", CONFIG)
    return FAMILY.load(folder / "servable").predict([item.value for item in golden])


def bias(folder: Path, golden: list[Item]) -> list[Any]:
    """Fit and ask the family's classical companion."""
    FAMILY.companions(folder / "good", folder / "base", folder / "companions", CONFIG, SEED)
    return FAMILY.load(folder / "companions/classical").predict([item.value for item in golden])


def scikit(folder: Path, golden: list[Item], encoder: Any, model: Any) -> list[Any]:
    """Fit and ask a regressor of scikit-learn; a result is liked if its rating rounds to a liked one."""
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    items = read_items(folder / "good")
    columns = make_column_transformer((encoder, list(range(len(NAMES)))), (StandardScaler(), [len(NAMES)]))
    made = make_pipeline(columns, model).fit(features(items), [item.attributes["rating"] for item in items])
    ratings = np.clip(made.predict(features(golden)), CONFIG.lowest_rating, CONFIG.highest_rating)
    return [{"rating": float(each), "likes": bool(each >= CONFIG.like_threshold - 0.5)} for each in ratings]


def contestants() -> dict[str, Callable[[Path, list[Item]], list[Any]]]:
    """Return what is compared, by name."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    boosting = HistGradientBoostingRegressor(categorical_features=list(range(len(NAMES))), random_state=SEED)
    indicators = OneHotEncoder(handle_unknown="ignore")
    perceptron = MLPRegressor(hidden_layer_sizes=(32,), alpha=1.0, max_iter=300, random_state=SEED)
    return {
        "the family's network": network,
        "bias model": bias,
        "gradient boosting": lambda folder, golden: scikit(folder, golden, ordinal, boosting),
        "network over indicators": lambda folder, golden: scikit(folder, golden, indicators, perceptron),
    }


def value(items: list[Item], answers: list[Any], metric: str) -> float:
    """Return a metric of the family."""
    scores = [each[metric] for each in FAMILY.score(items, answers, CONFIG)]
    found = sum(each.numerator for each in scores) / sum(each.weight for each in scores)
    return found**0.5 if metric == "rmse" else found


def main(as_json: bool) -> None:
    """Print RMSE, NDCG and F1 of every model for known and new users."""
    warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iterations")
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, file in (("good", "samples/preference/good.jsonl"), ("golden", "golden/preference/events.csv")):
            (folder / f"{name} batch").mkdir()
            (folder / f"{name} batch" / Path(file).name).write_bytes((DATA / file).read_bytes())
            FAMILY.check(folder / f"{name} batch", folder / name, CONFIG, lambda _: None)
        golden = read_items(folder / "golden")
        for name, contestant in contestants().items():
            started = time.perf_counter()
            answers = contestant(folder, golden)
            seconds = time.perf_counter() - started
            parts = []
            for cohort in ("known", "new"):
                at = [index for index, item in enumerate(golden) if f"user:{cohort}" in item.slices]
                chosen = [golden[index] for index in at], [answers[index] for index in at]
                numbers = [f"{value(*chosen, metric):.3f}" for metric in ("rmse", "ndcg", "f1_score")]
                parts.append(f"{cohort} users {' / '.join(numbers)}")
            figures[f"RMSE / NDCG / F1, {name} (synthetic)"] = f"{'; '.join(parts)}; {seconds:.1f} s"
    show(figures, as_json)


if __name__ == "__main__":
    main("--json" in sys.argv)
