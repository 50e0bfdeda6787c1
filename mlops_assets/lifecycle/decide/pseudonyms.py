"""Ids in place of names: what a language model may read of a decision, and the way back for people.

A name that came with a batch, file, column, item, slice, class or contributor is text that a stranger chose, and may be
an instruction. So no such name reaches a model: it reads `S1`, `L2`, `C3`. What the ids stand for is kept beside the
prompt, and put back only where people read.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from mlops_assets.core.records.decision import Evidence

KINDS: Mapping[str, str] = {
    "S": "sets",
    "L": "slices",
    "V": "values of slices",
    "C": "classes",
    "M": "metrics",
    "U": "contributors, speakers or users",
    "I": "items",
    "R": "reasons for which an item is dropped or flagged",
    "N": "the line, and units of its family",
    "W": "words of a name that was cut or written otherwise",
}
FIELDS: Mapping[str, str] = {
    "name": "S",
    "set_name": "S",
    "golden": "S",
    "slice": "L",
    "label": "C",
    "labels": "C",
    "predicted": "C",
    "metric": "M",
    "contributor": "U",
    "cluster": "U",
    "item": "I",
    "dropped": "R",
    "flagged": "R",
    "line": "N",
    "unit": "N",
}
STANDARD_METRICS = frozenset(
    {"accuracy", "brier", "cer", "error", "hamming", "macro_f1", "mae", "ndcg", "rmse", "subset_accuracy", "wer"}
)
CLASS_METRIC = re.compile(r"(f1|precision|recall)_class_(.+)", re.DOTALL)
REASON_CODE = re.compile(r"[A-Z]{3}[0-9]{3}")
WORD = re.compile(r"[^\W_]+")
TELLING = 4  # letters from which on a word of a name is hidden on its own, too
ID = re.compile(rf"(?<![^\W_])[{''.join(KINDS)}K][1-9][0-9]*(?![^\W_])")


class Pseudonyms:
    """The ids of every name in a piece of evidence; equal evidence gives equal ids."""

    def __init__(self, evidence: Evidence) -> None:
        self._ids: dict[tuple[str, str], str] = {}
        given: Counter[str] = Counter()
        for kind, name in _names(evidence.model_dump(mode="json"), ""):
            if name and (kind, name) not in self._ids:
                given[kind] += 1
                self._ids[kind, name] = f"{kind}{given[kind]}"
        self._hidden = {plain(name): id for (_, name), id in reversed(self._ids.items()) if plain(name)}
        longest_first = sorted(self._hidden, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_bounded, longest_first)) or r"(?!)")
        words = {word.casefold() for name in self._hidden for word in WORD.findall(name) if not word.isdecimal()}
        self._words = {word for word in words if len(word) >= TELLING} - STANDARD_METRICS

    @property
    def names(self) -> dict[str, str]:
        """What each id stands for, on one line of printable letters."""
        return {id: plain(name) for (_, name), id in self._ids.items()}

    def id(self, kind: str, name: str) -> str:
        """Return the id of a name, number 0 of its kind for one that the evidence does not know."""
        return self._ids.get((kind, name), f"{kind}0")

    def metric(self, name: str) -> str:
        """Return a metric's name where the field has one for it, else its id."""
        return name if name in STANDARD_METRICS else self.id("M", name)

    def metrics(self) -> Iterator[tuple[str, str]]:
        """Yield the id of every metric without a standard name, and what it measures in the words of this module."""
        for (kind, name), id in self._ids.items():
            if kind == "M":
                found = CLASS_METRIC.fullmatch(name)
                yield id, f"{found[1]} of class {self.id('C', found[2])}" if found else "a metric of this line's own"

    def hide(self, text: str) -> tuple[str, dict[str, str]]:
        """Return a text on one line with ids in place of every name, and what the ids in it stand for.

        A name that was cut, or written otherwise, still has its words: what is left of those is a `W`.
        """
        stands: dict[str, str] = {}
        pieces = []
        for piece in self._split(plain(text)):
            id = self._hidden.get(piece)
            pieces.append(piece if id is None else id)
            if id is not None:
                stands[id] = piece
                continue
            pieces[-1] = WORD.sub(lambda found: self._word(found, stands), piece)
        return "".join(pieces), stands

    def _split(self, text: str) -> Iterator[str]:
        """Yield names and what is between them."""
        end = 0
        for found in self._pattern.finditer(text):
            yield text[end : found.start()]
            yield found[0]
            end = found.end()
        yield text[end:]

    def _word(self, found: re.Match[str], stands: dict[str, str]) -> str:
        word, cut = found[0], found.string[found.end() : found.end() + 1] == "…"
        folded = word.casefold()
        if folded not in self._words and not (cut and any(each.startswith(folded) for each in self._words)):
            return word
        known = {name: id for id, name in stands.items()}
        id = known.get(word, f"W{1 + sum(each.startswith('W') for each in stands)}")
        stands[id] = word
        return id


def shown(text: str, names: Mapping[str, str]) -> str:
    """Return a text with names in place of the ids that are known."""
    return ID.sub(lambda found: names.get(found[0], found[0]), text)


def plain(text: str, length: int | None = None) -> str:
    """Return a stranger's words on one line, printable, cut to `length` characters if it is given."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if length is None or len(line) <= length else f"{line[: length - 1]}…"


def _names(value: Any, field: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of every name in a JSON document, by the field it stands in."""
    kind = FIELDS.get(field)
    if isinstance(value, dict):
        for key, each in value.items():
            if kind is not None:
                yield from _named(kind, key)
            else:
                yield from _names(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _names(each, field)
    elif isinstance(value, str) and kind is not None:
        yield from _named(kind, value)


def _named(kind: str, name: str) -> Iterator[tuple[str, str]]:
    if kind == "M":
        if name in STANDARD_METRICS:
            return
        if found := CLASS_METRIC.fullmatch(name):
            yield "C", found[2]
    if kind == "R" and REASON_CODE.fullmatch(name):
        return
    yield kind, name
    if kind == "L" and ":" in name:
        yield "V", name.partition(":")[2]


def _bounded(name: str) -> str:
    """Match a name as words of its own; a number only where it is not a part of a longer one."""
    if name.replace(".", "").isdecimal():
        return rf"(?<![\w.,+-]){re.escape(name)}(?![\w%]|[.,]\d)"
    before = r"(?<![^\W_])" if name[0].isalnum() else ""
    after = r"(?![^\W_])" if name[-1].isalnum() else ""
    return before + re.escape(name) + after
