"""A BERT of two layers and 32 numbers' width with random weights, and messages it can learn: from no package."""

import csv
import importlib.util
import random
from pathlib import Path

import pytest

needs_torch = pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="the 'text' extra is absent")
LABELS = ("deliver", "refund", "greet")
TOPICS = {
    "deliver": ("parcel", "courier", "late", "address"),
    "refund": ("money", "refund", "invoice", "charged"),
    "greet": ("hello", "morning", "thanks", "friend"),
}
FILLERS = tuple(f"{first}{last}" for first in "bdfgklmn" for last in ("ara", "elo", "imi", "otu", "ure", "asi"))
SETTINGS = {
    "labels": LABELS,
    "learning_rate": 3e-3,
    "batch_size": 8,
    "epochs": 3,
    "evaluate_every": 3,
    "patience": 50,
    "max_length": 32,
    "device": "cpu",
    "threads": 1,
}


SIZES = {
    "bert": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
    "distilbert": {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2},
    "albert": {
        **{"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
        "embedding_size": 16,
    },
}


def tiny(folder: Path, seed: int = 0, kind: str = "bert") -> Path:
    """Write a model folder with random weights of an architecture and a WordPiece tokenizer of the words above."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

    marks = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    letters = [f"{mark}{letter}" for mark in ("", "##") for letter in "abcdefghijklmnopqrstuvwxyz"]
    words = [*marks, *letters, *(word for topic in TOPICS.values() for word in topic), *FILLERS]
    vocabulary = {word: at for at, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, **dict(zip(names, marks, strict=True))
    )
    wrapped.save_pretrained(folder)
    torch.manual_seed(seed)
    sizes = SIZES.get(kind, SIZES["bert"]) | {"vocab_size": len(vocabulary), "max_position_embeddings": 66}
    AutoModel.from_config(AutoConfig.for_model(kind, pad_token_id=0, **sizes)).save_pretrained(folder)
    return folder


def messages(seed: int, count: int) -> list[dict[str, str]]:
    """Return labelled messages of seven or eight words, all different, labels in turn."""
    draw = random.Random(seed)
    rows = []
    for at in range(count):
        label = LABELS[at % len(LABELS)]
        words = [draw.choice(TOPICS[label]), *draw.sample(FILLERS, 6 + at % 2)]
        draw.shuffle(words)
        rows.append({"message": " ".join(words), "category": label, "confidence": "0.9", "origin": "synthetic"})
    return rows


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write rows and return the folder they are in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path.parent
