"""Sketches of messages: what their words are, as numbers, for a million messages in a fraction of a second.

Words are maximal runs of letters and digits, case folded. No word is ever cut out as a string: the hash of a word is
the difference of two prefix sums of a polynomial over all bytes (Karp and Rabin 1987), divided by the power where it
begins, modulo 2**64. Of each message are kept one hash of its words in order, and the least of its words' hashes under
eight permutations: two messages agree in one of them with the probability of their Jaccard index (Broder 1997).
"""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions when it is imported)

import functools
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

PERMUTATIONS = 8
CHUNK_BYTES = 1 << 17
FOLD_BYTES = 1 << 24
THREADS = 2
_WORD = r"[^\p{L}\p{M}\p{N}]+"
_PLAIN = re.compile(r"[\W_]+")
_SPACE = 32
_PRIME = 0x9E3779B97F4A7C15
_FROM_BYTES = bytes(
    byte if byte >= 128 else ord(chr(byte).lower()) if chr(byte).isalnum() else _SPACE for byte in range(256)
)
_draw = np.random.default_rng(20_261_121)
_VALUES = _draw.integers(1, 2**63, 256, dtype=np.uint64) | np.uint64(1)
_FACTORS = _draw.integers(1, 2**63, PERMUTATIONS, dtype=np.uint64) | np.uint64(1)
_MIX = np.uint64(0xD6E8FEB86659FD93)


def split(text: str) -> list[str]:
    """Return a text's words, case folded."""
    return _PLAIN.sub(" ", text.lower()).split()


def sketches(messages: pa.StringArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return per message the hash of its words in order, the least hashes (8, n) uint64, and its number of words."""
    folded = (_folded(part) for part in _chunks(messages, FOLD_BYTES))
    with ThreadPoolExecutor(THREADS) as pool:
        done = list(pool.map(_sketch, (chunk for part in folded for chunk in _chunks(part, CHUNK_BYTES))))
    if not done:
        return np.zeros(0, np.uint64), np.zeros((PERMUTATIONS, 0), np.uint64), np.zeros(0, np.int64)
    order, least, counts = (np.concatenate(column, axis=-1) for column in zip(*done, strict=True))
    return order, least, counts


def _chunks(messages: pa.StringArray, size: int) -> Sequence[pa.StringArray]:
    if not len(messages):
        return []
    offsets = np.frombuffer(messages.buffers()[1], np.int32)[messages.offset : messages.offset + len(messages) + 1]
    last = int(offsets[-1] - offsets[0])
    cuts = np.searchsorted(offsets, offsets[0] + np.arange(0, last, size))
    bounds = sorted({0, len(messages), *(int(cut) for cut in cuts if cut < len(messages))})
    return [messages.slice(start, end - start) for start, end in pairwise(bounds)]


def _sketch(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
    own = memoryview(text.buffers()[2])[offsets[0] : offsets[-1]]
    offsets = offsets - offsets[0]
    raw = np.frombuffer(bytes(own).translate(_FROM_BYTES), np.uint8)
    starts, ends = _edges(raw != _SPACE)
    powers, inverses = _powers(1 << len(raw).bit_length())
    sums = np.zeros(len(raw) + 1, np.uint64)
    np.cumsum(np.take(_VALUES, raw, mode="clip") * powers[: len(raw)], out=sums[1:])
    hashes = (sums[ends] - sums[starts]) * inverses[starts]
    hashes ^= hashes >> np.uint64(32)
    hashes *= _MIX
    hashes ^= hashes >> np.uint64(29)

    first = np.searchsorted(starts, offsets[:-1])
    counts = np.diff(first, append=len(starts))
    order = (sums[offsets[1:]] - sums[offsets[:-1]]) * inverses[offsets[:-1]]
    least = np.zeros((PERMUTATIONS, len(text)), np.uint64)
    some = np.flatnonzero(counts)
    if len(some):
        place = np.arange(len(starts)) - np.repeat(first, counts)
        order[some] = np.add.reduceat(hashes * powers[place], first[some])
        for at, factor in enumerate(_FACTORS):
            least[at, some] = np.minimum.reduceat(hashes * factor, first[some])
    return order, least, counts


def _edges(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where runs of True begin and end; the last value is False."""
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    if inside[0]:
        edges = np.concatenate([[0], edges])
    return edges[0::2], edges[1::2]


def _folded(messages: pa.StringArray) -> pa.StringArray:
    """Return messages with a space behind each; those that are not ASCII in lower case, with spaces for signs.

    What is ASCII is folded later, by a table of bytes.
    """
    wide = pc.not_equal(pc.utf8_length(messages), pc.binary_length(messages))
    if pc.any(wide).as_py():
        folded = pc.replace_substring_regex(pc.utf8_lower(messages.filter(wide)), _WORD, " ")
        messages = pc.replace_with_mask(messages, wide, folded)
    return pc.binary_join_element_wise(messages, "", " ")


@functools.cache
def _powers(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first powers of the base of the polynomial and of its inverse, modulo 2**64."""
    inverse = pow(_PRIME, -1, 2**64)
    tables = []
    for base in (_PRIME, inverse):
        table = np.full(size, base, np.uint64)
        table[0] = 1
        tables.append(np.cumprod(table))
    return tables[0], tables[1]
