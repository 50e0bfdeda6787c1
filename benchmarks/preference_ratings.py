"""Real human ratings through the preference family, beside ridge regression and gradient boosting.

VADER's lexicon holds some 7,500 words and emoticons with ten people's ratings each, from -4 to 4 (Hutto & Gilbert 2014;
MIT). The raters are not told apart, so this measures what is learned about results, and nothing about users. A rating
is an event without a user whose numeric columns are the first 64 principal components of the word's MiniLM embedding;
three ratings of each training word go through `check`, `train`, `export` and the ONNX file. A fifth of the words is
kept back whole, and what is predicted is the mean of a word's ten ratings. The others are given the same components
and the mean of the same three ratings. Intervals resample words (bootstrap, 90 %, `core.statistics`).

Needs the `text` extra, data/models/minilm-l6 and `pip install vaderSentiment==3.3.2`; says so and prints no figure
where one is missing.
"""

import importlib.util
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from alternate import show

from mlops_assets.core.dataset import write_items
from mlops_assets.core.measures import Measure
from mlops_assets.core.statistics import compare_all
from mlops_assets.families.preference import FAMILY
from mlops_assets.families.preference.config import Config

MODEL = Path(__file__).parents[1] / "data/models/minilm-l6"
COMPONENTS, RATINGS, SEED, SCALE = 64, 3, 7, (-4, 4)
NAMES = [f"component{at:02}" for at in range(COMPONENTS)]
CONFIG = Config.model_validate(
    {
        "categorical": [],
        "numeric": [{"column": name, "least": -2, "most": 2} for name in NAMES],
        "lowest_rating": SCALE[0],
        "highest_rating": SCALE[1],
        "like_threshold": 1,
        "hidden": 64,
        "epochs": 15,
        "batch_size": 256,
    }
)


def words(quick: bool) -> tuple[list[str], np.ndarray]:
    """Return words and their ratings, shape (words, 10); of a word that is there twice the first."""
    import vaderSentiment

    text = Path(vaderSentiment.__file__).with_name("vader_lexicon.txt").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    rated = {row[0]: json.loads(row[3]) for row in reversed(rows)}
    chosen = list(rated)[:: 10 if quick else 1]
    return chosen, np.array([rated[word] for word in chosen], dtype=float)


def embeddings(texts: list[str]) -> np.ndarray:
    """Return MiniLM's normalised mean of token vectors, shape (texts, 384)."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(MODEL), AutoModel.from_pretrained(MODEL).eval()
    parts = []
    with torch.no_grad():
        for at in range(0, len(texts), 256):
            batch = tokenizer(texts[at : at + 256], padding=True, truncation=True, max_length=16, return_tensors="pt")
            mask = batch["attention_mask"][..., None]
            mean = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
            parts.append(torch.nn.functional.normalize(mean).numpy())
    return np.vstack(parts).astype(float)


def family(components: np.ndarray, ratings: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Train on the first ratings of each word through every step of the family; return ratings of what is asked."""
    events = [
        dict(zip(NAMES, map(float, row), strict=True)) | {"rating": int(rating)}
        for row, given in zip(components, ratings, strict=True)
        for rating in given[:RATINGS]
    ]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "batch").mkdir()
        (folder / "batch/events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        checked = FAMILY.check(folder / "batch", folder / "data", CONFIG, lambda _: None)
        assert checked.kept == len(events)
        write_items(folder / "nothing", [])
        FAMILY.base(CONFIG, folder / "base")
        FAMILY.train(folder / "data", folder / "nothing", folder / "base", CONFIG, SEED, folder, lambda _: None)
        FAMILY.export(folder / "model", folder / "servable", CONFIG)
        answers = FAMILY.load(folder / "servable").predict(
            [dict(zip(NAMES, map(float, row), strict=True)) for row in asked]
        )
    return np.array([float(str(answer["rating"])) for answer in answers if isinstance(answer, dict)])


def others(components: np.ndarray, ratings: np.ndarray, asked: np.ndarray) -> dict[str, np.ndarray]:
    """Return the ratings that simpler and other methods predict."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge

    seen = ratings[:, :RATINGS].mean(axis=1)
    return {
        "mean rating": np.full(len(asked), seen.mean()),
        "ridge": Ridge(0.1).fit(components, seen).predict(asked),
        "gradient boosting": HistGradientBoostingRegressor(random_state=SEED).fit(components, seen).predict(asked),
    }


def main(quick: bool, as_json: bool) -> None:
    """Print RMSE and rank correlation of each method, and how far the family is from each."""
    missing = [name for name in ("vaderSentiment", "transformers", "sklearn") if importlib.util.find_spec(name) is None]
    if missing or not MODEL.exists():
        show({"real ratings": f"not measured: {', '.join(missing) or MODEL.name} is missing"}, as_json)
        return
    from scipy.stats import spearmanr
    from sklearn.decomposition import PCA

    texts, ratings = words(quick)
    kept_back = np.random.default_rng(SEED).random(len(texts)) < 0.2
    vectors = embeddings(texts)
    reduced = PCA(COMPONENTS, random_state=SEED).fit(vectors[~kept_back]).transform(vectors)
    given = (reduced[~kept_back], ratings[~kept_back], reduced[kept_back])
    truth = ratings[kept_back].mean(axis=1)
    answers = {"preference family": family(*given), **others(*given)}
    one = np.ones(len(truth))
    squared = {name: {"": ((answer - truth) ** 2, one)} for name, answer in answers.items()}
    figures = {"words kept back, each rated by ten people (real)": float(len(truth))}
    for name, answer in answers.items():
        found = compare_all(
            {"": Measure(("",), higher_is_better=False, root=True)},
            squared["preference family"],
            squared[name],
            np.arange(len(truth)),
            alpha=0.05,
            margins={},
            resamples=10_000,
            seed=SEED,
        )[""]
        assert found.production is not None
        assert found.delta is not None
        assert found.lower is not None
        assert found.upper is not None
        text = f"{found.production:.3f}"
        if name != "mean rating":
            text += f", rank correlation {spearmanr(answer, truth)[0]:.3f}"
        if name != "preference family":
            text += f"; the family is better by {found.delta:.3f} ({found.lower:.3f} to {found.upper:.3f})"
        figures[f"RMSE on real ratings, {name}"] = text
    show(figures, as_json)


if __name__ == "__main__":
    main("--quick" in sys.argv, "--json" in sys.argv)
