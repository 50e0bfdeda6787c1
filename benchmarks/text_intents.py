"""Sentences that nothing in this project names: intents of a smart home, before and after a fine-tune by the family.

home-assistant-intents holds templates that people wrote ("[<turn>] [<the>] {area} <light> on"; Apache-2.0); sentences
are sampled from them with hassil's parser. A template is on one side of the split only, or its siblings would leak; so
is the interval's unit: templates are resampled, not sentences (`core.statistics`). MiniLM goes through `check`,
`train`, `export` to INT8 and the servable that would answer; TF-IDF with logistic regression is fitted on the same.

Needs the `text` extra, data/models/minilm-l6 and `pip install home-assistant-intents hassil`; says so and prints no
figure where one is missing.
"""

import csv
import importlib.util
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alternate import show

from mlops_assets.core.dataset import read_items, write_items
from mlops_assets.core.policy import Policy
from mlops_assets.core.records.evaluation import Comparison, System
from mlops_assets.families.text import FAMILY
from mlops_assets.families.text.config import Config
from mlops_assets.lifecycle.evaluation.comparing import ScoredSet, comparisons
from mlops_assets.lifecycle.training.split import split

MODEL = Path(__file__).parents[1] / "data/models/minilm-l6"
SEED, LEAST_TEMPLATES, SENTENCES, KEPT_BACK, MOST_DRAWS = 11, 8, 80, 0.4, 40
PLACES = {
    "name": ["lamp", "coffee machine", "heater", "curtain", "front door", "radio", "ceiling fan", "printer"],
    "area": ["kitchen", "bedroom", "garage", "living room", "office", "hallway", "garden", "bathroom"],
    "floor": ["ground floor", "first floor", "basement", "attic"],
}
ANYTHING = ["jazz", "the news", "milk", "pasta", "tea", "laundry", "homework", "the last train"]


class Templates:
    """The English templates, by intent, and sentences sampled from them."""

    def __init__(self) -> None:
        import home_assistant_intents
        from hassil.intents import Intents

        folder = Path(home_assistant_intents.__file__).parent
        self._intents = Intents.from_dict(json.loads((folder / "data/en.json").read_text("utf-8")))
        self._draw = random.Random(SEED)

    def rows(self) -> Iterator[tuple[bool, dict[str, str]]]:
        """Yield rows of a batch, and whether their template is kept back; intents of few templates are left out."""
        for name, intent in self._intents.intents.items():
            templates = [sentence for data in intent.data for sentence in data.sentences]
            if len(templates) < LEAST_TEMPLATES:
                continue
            self._draw.shuffle(templates)
            kept_back = round(KEPT_BACK * len(templates))
            for back, chosen in ((True, templates[:kept_back]), (False, templates[kept_back:])):
                share = KEPT_BACK if back else 1 - KEPT_BACK
                yield from ((back, row) for row in self._sentences(name, chosen, round(share * SENTENCES)))

    def _sentences(self, name: str, templates: list[Any], count: int) -> list[dict[str, str]]:
        rows: dict[str, dict[str, str]] = {}
        for at in range(MOST_DRAWS * count):
            if len(rows) == count:
                break
            template = templates[at % len(templates)]
            message = " ".join(self._say(template.expression).split())
            rows.setdefault(message, {"message": message, "category": name, "template": template.text})
        return list(rows.values())

    def _say(self, expression: Any) -> str:
        """Return one of the sentences of a part of a template."""
        from hassil import expression as parts
        from hassil.intents import RangeSlotList, TextSlotList

        if isinstance(expression, parts.TextChunk):
            return expression.original_text
        if isinstance(expression, parts.Alternative):
            return self._say(self._draw.choice(expression.items))
        if isinstance(expression, parts.Permutation):
            return " ".join(self._say(each) for each in self._draw.sample(expression.items, len(expression.items)))
        if isinstance(expression, parts.Group):
            return "".join(self._say(each) for each in expression.items)
        if isinstance(expression, parts.RuleReference):
            return self._say(self._intents.expansion_rules[expression.rule_name].expression)
        values = self._intents.slot_lists.get(expression.list_name)
        if isinstance(values, TextSlotList):
            return self._say(self._draw.choice(values.values).text_in)
        if isinstance(values, RangeSlotList):
            return str(self._draw.randrange(values.start, values.stop + 1, values.step))
        return self._draw.choice(PLACES.get(expression.list_name, ANYTHING))


def dataset(rows: list[dict[str, str]], config: Config, folder: Path) -> Path:
    """Write rows as somebody would upload them, and return the dataset that the check makes of them."""
    upload = folder / "upload"
    upload.mkdir(parents=True)
    with (upload / "messages.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    FAMILY.check(upload, folder / "dataset", config, lambda _: None)
    return folder / "dataset"


def measured(train: Path, test: Path, config: Config, work: Path) -> tuple[Comparison, Comparison]:
    """Fine-tune and compare on `test`: with what MiniLM knew before, and with the classical method."""
    parts = split(read_items(train), 0.1, "text_intents")
    write_items(work / "train", parts.train)
    write_items(work / "held_out", (*parts.held_out, *parts.holdout))
    FAMILY.base(config, work / "base")
    FAMILY.train(work / "train", work / "held_out", work / "base", config, SEED, work / "run", lambda _: None)
    FAMILY.export(work / "base", work / "before", config)
    FAMILY.export(work / "run/model", work / "after", config)
    FAMILY.companions(work / "train", work / "run/model", work / "companions", config, SEED)
    items = read_items(test)

    def against(other: Path) -> Comparison:
        servables: dict[System, Path] = {"candidate": work / "after", "production": other}
        answers = {
            name: FAMILY.load(folder).predict([item.value for item in items]) for name, folder in servables.items()
        }
        scored = ScoredSet(
            name="sentences",
            kind="benchmark",
            dataset="",
            origin="synthetic",
            items=items,
            predictions=answers,
            scores={name: FAMILY.score(items, each, config) for name, each in answers.items()},
        )
        policy = Policy.model_validate({"primary": {"metric": "macro_f1", "margin": 0.02}, "seed": SEED})
        found = comparisons(scored, FAMILY.metrics(config), policy)
        return next(each for each in found if each.metric == "macro_f1" and each.slice is None)

    return against(work / "before"), against(work / "companions/classical")


def main(quick: bool, as_json: bool) -> None:
    """Sample, fine-tune, compare and print."""
    wanted = ("transformers", "onnxruntime", "hassil", "home_assistant_intents")
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing or not MODEL.is_dir():
        lacking = ", ".join(missing) or str(MODEL)
        print(
            f"No figure: {lacking} is missing. pip install home-assistant-intents hassil; make fetch", file=sys.stderr
        )
        show({}, as_json)
        return
    rows = list(Templates().rows())
    config = Config.model_validate(
        {
            "labels": sorted({row["category"] for _, row in rows}),
            "base_model": str(MODEL),
            "learning_rate": 3e-4,
            "epochs": 1 if quick else 4,
            "frozen_layers": 3,
            "max_length": 64,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        train = dataset([row for back, row in rows if not back], config, work / "taught")
        test = dataset([row for back, row in rows if back], config, work / "kept-back")
        before, classical = measured(train, test, config, work)
        sizes = f"{before.n} sentences of {before.clusters} templates; {len(read_items(train))} to learn from"
    show(
        {
            "smart-home intents, human-written templates, sampled": f"{len(config.labels)} intents, {sizes}",
            "macro-F1 on templates never seen, MiniLM before": _value(before, "production"),
            "macro-F1 on templates never seen, MiniLM fine-tuned, INT8": _value(before, "candidate"),
            "macro-F1 on templates never seen, TF-IDF and logistic regression": _value(classical, "production"),
            "macro-F1 on templates never seen, gain over before": _gain(before),
            "macro-F1 on templates never seen, gain over TF-IDF": _gain(classical),
        },
        as_json,
    )


def _value(found: Comparison, system: System) -> str:
    value = found.candidate if system == "candidate" else found.production
    interval = found.candidate_interval if system == "candidate" else found.production_interval
    return f"{value:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def _gain(found: Comparison) -> str:
    return f"{found.delta:+.3f} ({found.lower:+.3f} to {found.upper:+.3f})"


if __name__ == "__main__":
    main("--quick" in sys.argv, "--json" in sys.argv)
