"""Word and character errors: the numbers a speech model is judged by, with the normaliser that makes them comparable.

jiwer is the reference: the counts are those of `jiwer.process_words` and `process_characters` on normalised text, and
a differential test holds them so. They are computed by rapidfuzz over all pairs at once, which is what jiwer calls
per pair, without building alignments.

The normaliser follows OpenAI's for English where it takes nothing away: NFKC, lower case, annotations in [] and <>
dropped, unambiguous contractions written out, apostrophes closed up, every other mark a space. It differs on purpose:
fillers (um, uh) stay, since a model must not be excused words it invented; 's and 'd stay closed (it's: its), since is,
has and the possessive sound alike; numbers stay as written, since '1999' has several readings and the transcripts'
own convention is part of what fine-tuning teaches. Other scripts keep their letters and vowel signs. `SCORER` names
these rules; changing one changes its version, and figures of different versions are not compared.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SCORER = "english-v1/jiwer-4"

_ANNOTATION = re.compile(r"\[[^\[\]]*\]|<[^<>]*>")
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´", "'"))
_CONTRACTIONS = (
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"\bcan't\b"), "can not"),
    (re.compile(r"\bcannot\b"), "can not"),
    (re.compile(r"\bshan't\b"), "shall not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"(?<=\w)'re\b"), " are"),
    (re.compile(r"(?<=\w)'ve\b"), " have"),
    (re.compile(r"(?<=\w)'ll\b"), " will"),
    (re.compile(r"(?<=\w)'m\b"), " am"),
)
_CHUNK = 2_048
_FIRST_CHARACTER = 0x10000  # above the surrogates: a million words fit


class Counts(NamedTuple):
    """Edits and lengths per utterance: four integer arrays of shape (n,)."""

    word_errors: NDArray[np.int64]
    words: NDArray[np.int64]
    char_errors: NDArray[np.int64]
    chars: NDArray[np.int64]


class _Marks(dict[int, str | int | None]):
    """A `str.translate` table made as characters come: letters, marks and digits stay, ' goes, the rest is a space."""

    def __missing__(self, code: int) -> int | str | None:
        character = chr(code)
        keep: int | str | None = code if unicodedata.category(character)[0] in "LMN" else " "
        self[code] = None if character == "'" else keep
        return self[code]


_MARKS = _Marks()


def normalise(text: str) -> str:
    """Return the words of a transcript as they are compared: single spaces, none at the ends; '' for no words."""
    text = unicodedata.normalize("NFKC", text).lower()
    if not text.isascii():
        # Lower case may decompose ('İ') and a spacing accent composes to nothing: one more pass makes this idempotent.
        text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES))
    if "[" in text or "<" in text:
        text = _ANNOTATION.sub(" ", text)
    if "'" in text or "cannot" in text:
        for pattern, words in _CONTRACTIONS:
            text = pattern.sub(words, text)
    return " ".join(text.translate(_MARKS).split())


def count(references: Sequence[str], hypotheses: Sequence[str]) -> Counts:
    """Normalise both sides and count edits per utterance; an empty reference counts every word as an insertion.

    Raises ValueError if there are not as many hypotheses as references.
    """
    references = [normalise(text) for text in references]
    hypotheses = [normalise(text) for text in hypotheses]
    word_errors, words = word_edits(references, hypotheses)
    char_errors = _distances(references, hypotheses)
    return Counts(word_errors, words, char_errors, np.fromiter(map(len, references), np.int64, len(references)))


def word_edits(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count word edits and reference words per pair of normalised texts: two arrays of shape (n,).

    Within a chunk every word becomes one character, so that a sentence is a short string to rapidfuzz; chunks keep
    memory flat and the words of one well within the characters there are. Raises ValueError on unequal lengths.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references cannot be compared with {len(hypotheses)} hypotheses.")
    errors, words = np.zeros(len(references), np.int64), np.zeros(len(references), np.int64)
    for start in range(0, len(references), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        coded = _word_characters([*references[chunk], *hypotheses[chunk]])
        half = len(coded) // 2
        errors[chunk] = _distances(coded[:half], coded[half:])
        words[chunk] = np.fromiter(map(len, coded[:half]), np.int64, half)
    return errors, words


def _word_characters(texts: list[str]) -> list[str]:
    """Rewrite texts of single-spaced words with one character a word, equal words as equal characters."""
    import pyarrow as pa
    import pyarrow.compute as pc

    split = pc.split_pattern(pa.array(texts, pa.string()), " ")  # pyright: ignore[reportAttributeAccessIssue]
    codes = split.values.dictionary_encode().indices.to_numpy().astype(np.uint32) + _FIRST_CHARACTER
    characters = codes.tobytes().decode("utf-32-le")
    ends = split.offsets.to_pylist()
    return [characters[start:end] if text else "" for text, (start, end) in zip(texts, pairwise(ends), strict=True)]


def _distances(references: Sequence[str], hypotheses: Sequence[str]) -> NDArray[np.int64]:
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    return cpdist(references, hypotheses, scorer=Levenshtein.distance, dtype=np.int64)
