"""Texts that nearly are another text: the same but for a word, some letters, or what was put around it.

Two texts are near if they share most of their words, or most of their runs of three letters, which a misspelt word
leaves nearly alone. Both are Jaccard indices of sets (0 to 1).
"""

import re
from collections import Counter
from collections.abc import Sequence

FEWEST_WORDS = 4
NEAR_WORDS = 0.8
NEAR_LETTERS = 0.7
LIKELY = 0.5
_RUN = 3
_NO_WORD = re.compile(r"[\W_]+")


class NearTexts:
    """Known texts, to be asked for one that another text nearly is.

    Only texts that share half of their words are compared: such two bags of n words share one of the n - ceil(n / 2)
    + 1 rarest (Bayardo, Ma and Srikant 2007). Texts of fewer than four words are left alone: one word of three is
    another text.
    """

    def __init__(self, known: Sequence[str]) -> None:
        self._bags = [words(text) for text in known]
        self._letters = [_letters(text) for text in known]
        self._common = Counter(word for bag in self._bags for word in bag)
        self._rare: dict[str, list[int]] = {}
        for position, bag in enumerate(self._bags):
            for word in self._rarest(bag):
                self._rare.setdefault(word, []).append(position)

    def twin(self, text: str) -> int | None:
        """Return the position of the known text that `text` nearly is, of several the likest."""
        bag = words(text)
        seen = {position for word in self._rarest(bag) for position in self._rare.get(word, ())}
        likely = [position for position in seen if _jaccard(bag, self._bags[position]) >= LIKELY]
        letters = _letters(text) if likely else frozenset()
        alike = {
            position: max(
                _jaccard(bag, self._bags[position]) / NEAR_WORDS,
                _jaccard(letters, self._letters[position]) / NEAR_LETTERS,
            )
            for position in likely
        }
        best = max(sorted(alike), key=lambda position: alike[position], default=None)
        return best if best is not None and alike[best] >= 1.0 else None

    def _rarest(self, bag: frozenset[str]) -> list[str]:
        if len(bag) < FEWEST_WORDS:
            return []
        return sorted(bag, key=lambda word: (self._common[word], word))[: len(bag) - -(-len(bag) // 2) + 1]


def words(text: str) -> frozenset[str]:
    """Return a text's words in small letters."""
    return frozenset(_NO_WORD.sub(" ", text.lower()).split())


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)


def _letters(text: str) -> frozenset[str]:
    plain = f" {_NO_WORD.sub(' ', text.lower()).strip()} "
    return frozenset(plain[at : at + _RUN] for at in range(len(plain) - _RUN + 1))
