import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.families.speech.wer import count, normalise

WORDS = ["the", "cat", "sat", "on", "a", "mat", "naïve", "don't", "I'm", "25", "नमस्ते", "—", "it's", "mats", "Straße"]


def jiwer_counts(reference: str, hypothesis: str) -> tuple[int, int, int, int]:
    import jiwer

    reference, hypothesis = normalise(reference), normalise(hypothesis)
    words = jiwer.process_words([reference], [hypothesis])
    chars = jiwer.process_characters([reference], [hypothesis])
    return (
        words.substitutions + words.deletions + words.insertions,
        words.substitutions + words.deletions + words.hits,
        chars.substitutions + chars.deletions + chars.insertions,
        chars.substitutions + chars.deletions + chars.hits,
    )


def test_counts_are_jiwers_on_ten_thousand_random_pairs():
    draw = random.Random(7)
    pairs = [[" ".join(draw.choices(WORDS, k=draw.randrange(0, 16))) for _ in range(2)] for _ in range(10_000)]
    ours = count([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    assert list(zip(*ours, strict=True)) == [jiwer_counts(*pair) for pair in pairs]


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_counts_are_jiwers_on_any_text(pairs: list[tuple[str, str]]):
    ours = count([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    assert list(zip(*ours, strict=True)) == [jiwer_counts(*pair) for pair in pairs]


@given(st.text())
def test_normalising_gives_single_spaced_words(text: str):
    normal = normalise(text)
    assert normal == " ".join(normal.split())
    assert count([text], [text]).word_errors[0] == 0


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  Hello,   WORLD!\n", "hello world"),
        ("I’m sure they won't, can't and shouldn't.", "i am sure they will not can not and should not"),
        ("It's Anna's; we'd go", "its annas wed go"),
        ("[music] um, <unk> yes", "um yes"),
        ("ﬁve ½-inch", "five 1 2 inch"),
        ("नमस्ते दुनिया", "नमस्ते दुनिया"),
        ("...", ""),
    ],
)
def test_the_named_normaliser(text: str, normal: str):
    assert normalise(text) == normal


def test_empty_sides():
    counts = count(["", "two words", ""], ["two words", "", ""])
    assert np.array_equal(counts.word_errors, [2, 2, 0])
    assert np.array_equal(counts.words, [0, 2, 0])
    assert all(len(part) == 0 for part in count([], []))


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="2 references"):
        count(["a", "b"], ["a"])
