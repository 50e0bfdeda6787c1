"""From a dataset to training steps: which messages, in which order, all from the seed alone.

The whole training is one list of batches. So a training that goes on from step 70 skips 70 batches and is the training
that was never interrupted.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from mlops_assets.core.dataset import read_items
from mlops_assets.core.records.data import Item
from mlops_assets.families.text.augment import augmented
from mlops_assets.families.text.config import NO_LABEL, Config
from mlops_assets.families.text.weights import reach

MOST_REPEATS = 20
_CHUNK = 8


class Examples:
    """Messages as token ids, and the probability of every label that is held to be right, (items, labels) float32."""

    def __init__(
        self, items: Sequence[Item], tokenizer: PreTrainedTokenizerBase, longest: int, config: Config, seed: int
    ) -> None:
        usable = [item for item in items if wanted(item, config) is not None]
        copies = 1 + (config.augmentation.copies if seed >= 0 else 0)
        texts = [
            augmented(str(item.value), config.augmentation, f"{seed} {item.id} {copy}") if copy else str(item.value)
            for copy in range(copies)
            for item in usable
        ]
        self.items = len(usable)
        self.names = [str(item.target) for item in usable] * copies
        self.targets = np.array([wanted(item, config) for item in usable] * copies, np.float32)
        self.tokens: list[list[int]] = []
        if texts:
            self.tokens += tokenizer(texts, truncation=True, max_length=longest)["input_ids"]  # pyright: ignore[reportOperatorIssue]
        self.pad = tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else 0

    def collate(self, chosen: Sequence[int]) -> dict[str, torch.Tensor]:
        """Return one batch, padded to its longest message."""
        length = max(len(self.tokens[i]) for i in chosen)
        tokens = torch.full((len(chosen), length), self.pad)
        mask = torch.zeros((len(chosen), length), dtype=torch.long)
        for row, i in enumerate(chosen):
            tokens[row, : len(self.tokens[i])] = torch.tensor(self.tokens[i])
            mask[row, : len(self.tokens[i])] = 1
        return {"input_ids": tokens, "attention_mask": mask, "labels": torch.from_numpy(self.targets[list(chosen)])}


class Steps(torch.utils.data.Dataset[list[int]]):
    """The batches of a training, as positions of examples."""

    def __init__(self, batches: list[list[int]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, step: Any) -> list[int]:
        return self.batches[step]


def read(folder: Path, model: Path, config: Config, seed: int = -1) -> Examples:
    """Read a dataset for a model folder; with a seed, augmented. Items without a configured label are left out."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    return Examples(read_items(folder), tokenizer, reach(model, config.max_length), config, seed)


def wanted(item: Item, config: Config) -> list[float] | None:
    """Return the probability of each label, None for an item whose label is not configured.

    Scores that were submitted are learned as they are, where they agree with the label.
    """
    names = set(str(item.target).split(";")) - {NO_LABEL}
    if not names <= set(config.labels) or (config.task != "multi_label" and len(names) != 1):
        return None
    hard = [float(label in names) for label in config.labels]
    if config.task == "multi_label":
        given = [item.attributes.get(f"score:{label}") for label in config.labels]
        return [h if g is None else float(g) for h, g in zip(hard, given, strict=True)]
    score = item.attributes.get(f"score:{config.score_column}") if config.task == "binary" else None
    if score is not None and (float(score) >= config.threshold) == bool(hard[1]):
        return [1 - float(score), float(score)]
    return hard


def schedule(examples: Examples, config: Config, seed: int) -> list[list[int]]:
    """Return the batches of all epochs; messages of like length meet, within shuffled chunks."""
    batches: list[list[int]] = []
    for epoch in range(config.epochs):
        rng = np.random.default_rng([seed, epoch])
        shuffled = rng.permutation(_positions(examples, config, rng))
        of_epoch: list[list[int]] = []
        for start in range(0, len(shuffled), config.batch_size * _CHUNK):
            chunk = shuffled[start : start + config.batch_size * _CHUNK]
            chunk = sorted(chunk.tolist(), key=lambda i: (len(examples.tokens[i]), i))
            of_epoch += [chunk[at : at + config.batch_size] for at in range(0, len(chunk), config.batch_size)]
        batches += [of_epoch[i] for i in rng.permutation(len(of_epoch))]
    return batches[: config.max_steps or None]


def in_order(examples: Examples, config: Config) -> list[list[int]]:
    """Return batches of all examples once, by length."""
    positions = sorted(range(len(examples.tokens)), key=lambda i: (len(examples.tokens[i]), i))
    return [positions[at : at + config.batch_size] for at in range(0, len(positions), config.batch_size)]


def _positions(examples: Examples, config: Config, rng: np.random.Generator) -> np.ndarray:
    """Return the examples of an epoch, rarer labels repeated to the most frequent one where that is configured."""
    every = np.arange(len(examples.tokens))
    if not config.oversample:
        return every
    counts = Counter(examples.names)
    most = max(counts.values())
    more = [every]
    for name in sorted(counts):
        own = np.flatnonzero(np.array(examples.names) == name)
        more.append(rng.choice(own, min(most, MOST_REPEATS * len(own)) - len(own)))
    return np.concatenate(more)
