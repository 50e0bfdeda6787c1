"""Phrases and the people who write them: from a template to a message as somebody would type it.

Every phrase belongs to one author, so resampling authors resamples phrases, too, and an interval is as wide as the
small number of phrases makes it.
"""

import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_assets.core.near_text import NearTexts

RECIPE = Path(__file__).parent / "recipe"
PHRASES_OF_AN_AUTHOR = 2
NEAR = 0.7
CHOICE = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{(\w+)\}")
WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class Phrase:
    """A template with its id and the labels it may have; `scores` is what one label or dimension is worth, 0 to 1."""

    id: str
    text: str
    labels: tuple[str, ...]
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Author:
    """How somebody types: each habit is the probability that a message shows it."""

    name: str
    opener: float
    closer: float
    lower: float
    loud: float
    typo: float
    full_stop: float


def recipe(name: str) -> dict[str, Any]:
    """Read `recipe/<name>.toml`."""
    return tomllib.loads((RECIPE / f"{name}.toml").read_text(encoding="utf-8"))


def authors(phrases: Sequence[Phrase], prefix: str, draw: random.Random) -> dict[str, Author]:
    """Return who owns each phrase, by phrase id: everyone about two, of any label."""
    people = [_author(f"{prefix}{i:03}", draw) for i in range(max(1, len(phrases) // PHRASES_OF_AN_AUTHOR))]
    dealt = draw.sample(list(phrases), len(phrases))
    return {phrase.id: people[i % len(people)] for i, phrase in enumerate(dealt)}


def _author(name: str, draw: random.Random) -> Author:
    chatty, careless = draw.random(), draw.random()
    return Author(
        name,
        opener=0.45 * chatty,
        closer=0.4 * chatty * draw.random(),
        lower=draw.choice([0.0, 0.3, 1.0]),
        loud=0.04 if draw.random() < 0.1 else 0.0,
        typo=0.08 * careless**2,
        full_stop=draw.random(),
    )


def fill(text: str, draw: random.Random, **special: str) -> str:
    """Choose every `[a|b]` and fill every `{slot}`, no word twice; `special` slots are given."""
    while CHOICE.search(text):
        text = CHOICE.sub(lambda found: draw.choice(found[1].split("|")), text, count=1)
    used: set[str] = set()

    def word(found: re.Match[str]) -> str:
        if found[1] in special:
            return special[found[1]]
        chosen = draw.choice([each for each in WORDLISTS[found[1]] if each not in used])
        used.add(chosen)
        return chosen

    text = re.sub(r" +", " ", SLOT.sub(word, text)).strip()
    return re.sub(r"\b([Aa]) (?=[aeiouAEIO])", r"\1n ", text)


def typed(text: str, author: Author, side: str, draw: random.Random) -> str:
    """Return `text` as `author` types it: opener, closer, case, typos and punctuation; `side` is golden or batch."""
    if draw.random() < author.opener:
        text = f"{draw.choice(VOCABULARY['openers'][side])} {text}"
    text = " ".join(_misspelt(word, author.typo, draw) for word in text.split(" "))
    if draw.random() < author.closer:
        text = f"{text} {draw.choice(VOCABULARY['closers'][side])}"
    elif text[-1].isalnum() and draw.random() < author.full_stop:
        text += "."
    if draw.random() < author.loud:
        return text.upper()
    return text.lower() if draw.random() < author.lower else text[0].upper() + text[1:]


def _misspelt(word: str, probability: float, draw: random.Random) -> str:
    if word in VOCABULARY["typos"] and draw.random() < 3 * probability:
        return draw.choice(VOCABULARY["typos"][word])
    if len(word) > 4 and word.isalpha() and draw.random() < probability:
        at = draw.randrange(1, len(word) - 2)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word


class Distinct:
    """Accepts a message unless it is nearly one of those before it (Jaccard index of the words) or a known one."""

    def __init__(self, known: Sequence[str] = ()) -> None:
        self._seen, self._known = [words(text) for text in known], NearTexts(known)

    def accepts(self, text: str) -> bool:
        """Say whether `text` is new, and remember it if it is."""
        new = words(text)
        if any(len(new & old) >= NEAR * len(new | old) for old in self._seen) or self._known.twin(text) is not None:
            return False
        self._seen.append(new)
        return True


def words(text: str) -> frozenset[str]:
    """Return the words of a message in small letters; of one without any, its characters."""
    return frozenset(WORDS.findall(text.lower())) or frozenset(text)


VOCABULARY = recipe("words")
SEED = VOCABULARY["seed"]
WORDLISTS = VOCABULARY["slots"]
