"""Near-duplicate texts: what counts as one, and that the shortcut over rare words misses none."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.core.near_text import NearTexts

SENTENCE = "My sister moved to Lisbon last year and I still miss our long walks"
WORDS = st.sampled_from([f"w{at}" for at in range(9)] + ["walk", "walks", "talk"])
TEXTS = st.lists(st.lists(WORDS, max_size=8).map(" ".join), max_size=12)


@pytest.mark.parametrize(
    "edited",
    [
        SENTENCE.upper(),
        f"  {SENTENCE}!!",
        SENTENCE.replace(" ", "  \t"),
        SENTENCE.replace("Lisbon", "Lisbno"),
        SENTENCE.replace("sister", "siter").replace("walks", "wallks"),
        SENTENCE.replace("last year ", ""),
        f"ok so, {SENTENCE} thanks",
    ],
)
def test_a_text_is_known_again_after_a_small_edit(edited: str) -> None:
    assert NearTexts(["Something else that was said before it", SENTENCE]).twin(edited) == 1


@pytest.mark.parametrize(
    "other",
    [
        "",
        "Lisbon",
        "My brother moved to Porto and I never miss our long walks there",
        "My sister moved to Lisbon",
        "I still miss the long talks that my sister and I had in Lisbon before she moved",
    ],
)
def test_another_text_is_another_text(other: str) -> None:
    assert NearTexts([SENTENCE]).twin(other) is None


def test_a_text_of_a_few_words_has_no_near_twin() -> None:
    assert NearTexts(["yes I do"]).twin("yes I did") is None


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_comparing_all_pairs_finds_the_same(ours: list[str], theirs: list[str]) -> None:
    index = NearTexts(theirs)
    for text in ours:
        alike = [_alike(text, other) for other in theirs]
        found = index.twin(text)
        assert (found is not None) == any(share >= 1 for share in alike)
        if found is not None:
            assert alike[found] == max(alike)


def _alike(one: str, other: str) -> float:
    a, b = set(one.split()), set(other.split())
    if min(len(a), len(b)) < 4 or 2 * len(a & b) < len(a | b):
        return 0.0
    letters = [{each for at in range(len(s)) if len(each := s[at : at + 3]) == 3} for s in (f" {one} ", f" {other} ")]
    return max(len(x & y) / len(x | y) / least for x, y, least in ((a, b, 0.8), (*letters, 0.7)))


def test_signs_and_letters_of_any_script_count() -> None:
    text = "Мой брат живёт в Москве и работает учителем"
    assert NearTexts([text]).twin(re.sub("учителем", "учитилем", text)) == 0
