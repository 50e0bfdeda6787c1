"""Changed copies of messages for small data sets: synonyms, words left out, letters swapped; all drawn from a seed.

Paraphrases and back-translations, which need a language model, are made as batches of their own (`mlops label`).
"""

import functools
import importlib
import importlib.util
import random

from mlops_assets.core.errors import MissingExtra
from mlops_assets.families.text.config import Augmentation


def augmented(text: str, settings: Augmentation, seed: str) -> str:
    """Return a changed copy of a message; it keeps at least one word."""
    draw = random.Random(seed)
    words = [_synonym(word, draw) if draw.random() < settings.synonyms else word for word in text.split()]
    left = [word for word in words if draw.random() >= settings.word_dropout]
    return " ".join(_typo(word, draw) if draw.random() < settings.typos else word for word in left or words[:1])


@functools.cache
def wordnet() -> bool:
    """Return whether nltk and its WordNet are on this machine."""
    if importlib.util.find_spec("nltk") is None:
        return False
    try:
        importlib.import_module("nltk.corpus").wordnet.ensure_loaded()
    except LookupError:
        return False
    return True


def _synonym(word: str, draw: random.Random) -> str:
    if not wordnet():
        raise MissingExtra(
            "Synonyms need WordNet, which is not on this machine.",
            "pip install nltk, then python -m nltk.downloader wordnet; or set augmentation.synonyms to 0.",
        )
    found = importlib.import_module("nltk.corpus").wordnet.synsets(word)
    names = sorted({lemma.replace("_", " ") for each in found for lemma in each.lemma_names()} - {word})
    return draw.choice(names) if names else word


def _typo(word: str, draw: random.Random) -> str:
    if len(word) < 4:
        return word
    at = draw.randrange(len(word) - 1)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
