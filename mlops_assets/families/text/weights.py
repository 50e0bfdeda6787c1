"""Model folders: an encoder with a head for the line's labels, as transformers reads it, and no path of this machine.

A model folder is `config.json`, `model.safetensors`, `tokenizer.json` and `tokenizer_config.json`.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from mlops_assets.core.errors import ConfigError
from mlops_assets.families.text.config import Config

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
HEAD_SEED = 0
_OFFSET = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "longformer")  # places are counted after padding
_PROBLEMS = {"multi_label": "multi_label_classification"}
_PLACES = (
    *("_name_or_path", "name_or_path", "tokenizer_file", "vocab_file", "merges_file", "transformers_version"),
    *("is_local", "local_files_only"),
)


def write_base(config: Config, out: Path) -> None:
    """Write the model folder a line starts from: the encoder `base_model` names, with a new head for its labels.

    Raises ConfigError if there is no such encoder here and the Hub cannot be reached.
    """
    network = load_network(config.base_model, config)
    try:
        tokenizer = AutoTokenizer.from_pretrained(config.base_model)
    except (OSError, ValueError) as error:
        raise _unusable(config.base_model, error) from error
    if not tokenizer.is_fast:
        raise ConfigError(
            f"'{config.base_model}' has no fast tokenizer.", "Choose an encoder with a tokenizer.json: it is served."
        )
    save_network(network, out)
    tokenizer.save_pretrained(out)
    for file in out.iterdir():
        if file.suffix == ".json":
            _forget_places(file)
        elif file.name != WEIGHTS:
            file.unlink()


def load_network(source: Path | str, config: Config) -> PreTrainedModel:
    """Load an encoder with a head of the line's labels, in float32.

    A head of other labels is made anew, seeded, and keeps the rows of the labels it knew.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(HEAD_SEED)
    try:
        old = AutoConfig.from_pretrained(source)
        known = [str(name) for _, name in sorted((old.id2label or {}).items())]
        names = {"id2label": dict(enumerate(config.labels)), "label2id": {n: i for i, n in enumerate(config.labels)}}
        problem = _PROBLEMS.get(config.task, "single_label_classification")
        network = AutoModelForSequenceClassification.from_pretrained(
            source,
            **names,
            num_labels=len(config.labels),
            problem_type=problem,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            attn_implementation="eager",
        )
        if known != list(config.labels):
            before = AutoModelForSequenceClassification.from_pretrained(source, dtype=torch.float32)
            _renew_head(network, before, known, config.labels)
    except (OSError, ValueError) as error:
        raise _unusable(str(source), error) from error
    return network


def save_network(network: PreTrainedModel, out: Path) -> None:
    """Write weights and configuration of a model folder."""
    out.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(out)
    (out / WEIGHTS).chmod(0o644)
    _forget_places(out / CONFIG)
    (out / "generation_config.json").unlink(missing_ok=True)


def copy_tokenizer(model: Path, out: Path) -> None:
    """Copy everything of a model folder that is not its weights or configuration."""
    for file in model.iterdir():
        if file.is_file() and file.name not in (WEIGHTS, CONFIG):
            shutil.copyfile(file, out / file.name)


def head_of(network: PreTrainedModel) -> torch.nn.Linear:
    """Return the last layer: the one linear layer with a row for each label."""
    heads = [each for each in network.modules() if isinstance(each, torch.nn.Linear)]
    return next(each for each in reversed(heads) if each.out_features == network.config.num_labels)


def encoder_layers(network: PreTrainedModel) -> tuple[torch.nn.Module, list[torch.nn.Module]]:
    """Return the embeddings and the encoder's layers from the lowest (ALBERT's are one, shared)."""
    encoder = network.base_model
    found = [each for each in encoder.modules() if isinstance(each, torch.nn.ModuleList)]
    layers = max(found, key=len, default=torch.nn.ModuleList())
    return encoder.get_input_embeddings(), list(layers)  # pyright: ignore[reportCallIssue]


def reach(model: Path, longest: int) -> int:
    """Return how many tokens of a message are read: `longest`, or what encoder and tokenizer can if that is less."""
    config = json.loads((model / CONFIG).read_text("utf-8"))
    places = int(config.get("max_position_embeddings") or longest)
    if config["model_type"] in _OFFSET:
        places -= int(config.get("pad_token_id") or 0) + 1
    own = json.loads((model / "tokenizer_config.json").read_text("utf-8")).get("model_max_length")
    return int(min(longest, places, own or longest))


def _renew_head(network: PreTrainedModel, before: PreTrainedModel, known: list[str], labels: tuple[str, ...]) -> None:
    new, old = head_of(network), head_of(before)
    torch.manual_seed(HEAD_SEED)
    with torch.no_grad():
        new.weight.normal_(0, getattr(network.config, "initializer_range", 0.02))
        new.bias.zero_()
        for at, label in enumerate(labels):
            if label in known:
                new.weight[at] = old.weight[known.index(label)]
                new.bias[at] = old.bias[known.index(label)]


def _forget_places(path: Path) -> None:
    """Remove what tells where or by which release a file was written: equal models are equal bytes everywhere."""
    value: dict[str, Any] = json.loads(path.read_text("utf-8"))
    kept = {key: each for key, each in value.items() if key not in _PLACES}
    if path.name != TOKENIZER and kept != value:
        path.write_text(json.dumps(kept, indent=2, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")


def _unusable(source: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"'{source}' is no encoder that can be fine-tuned here: {str(error).strip().splitlines()[0]}",
        "Name a local folder with config.json, model.safetensors and tokenizer.json, or a Hugging Face repo id.",
    )
