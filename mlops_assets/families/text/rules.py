"""What is wrong with single messages, a column at a time: a rule looks closely only at rows that a cheap look left.

Nearly all rows of nearly all files pass nearly all rules, so each begins with a pass over the column's bytes.
"""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions when it is imported)

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.families.text.config import Config
from mlops_assets.families.text.predictable import UNSEEN

_FORMULA = r"^[=+@-][A-Za-z][A-Za-z0-9_.]*[(|!]"
_DAMAGED = r"[ÃÂ][\x{80}-\x{BF}]|â[€\x{80}-\x{BF}]|Ã[©¨¡³±¼¶¤]|\x{FFFD}"
_MAIL = r"[\w.+-]+@[\w-]+\.\w{2,}"
_PHONE = r"(^|[^\w.,])\+?\(?\d[\d ()/-]{6,18}\d($|[^\w])"
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_LEAST_DIGITS = 8


def trimmed(column: pa.StringArray) -> pa.StringArray:
    """Return cells without outer white space."""
    return pc.utf8_trim_whitespace(column)


def dropped(text: pa.StringArray, config: Config) -> dict[str, np.ndarray]:
    """Return by finding code which messages cannot be used; `text` is trimmed."""
    length = pc.utf8_length(text).to_numpy()
    return {
        "TXT005": _control(text),
        "TXT010": length == 0,
        "TXT011": (length < config.min_chars) & (length > 0),
        "TXT012": length > config.max_chars,
        "TXT024": _where(_starting(text, b"=+@-"), text, _regex(_FORMULA)),
    }


def damaged(text: pa.StringArray) -> np.ndarray:
    """Return which messages hold letters that a wrong encoding made ('Ã©' for 'é')."""
    return _where(_wide(text), text, _regex(_DAMAGED))


def personal(text: pa.StringArray) -> np.ndarray:
    """Return which messages hold an e-mail address, a telephone number or a payment card's number."""
    mail = _where(_holding(text, ord("@")), text, _regex(_MAIL))
    digits = _digits(text) >= _LEAST_DIGITS
    return mail | _where(digits, text, _regex(_PHONE)) | _where(digits, text, _cards)


def _control(text: pa.StringArray) -> np.ndarray:
    data, offsets = _bytes(text)
    low = data < 32
    low |= data == 127
    found = np.flatnonzero(low)
    found = found[~np.isin(data[found], (9, 10, 13))]
    rows = np.zeros(len(text), bool)
    rows[np.searchsorted(offsets, found, "right") - 1] = True
    return rows | _where(_wide(text), text, _regex(f"[{UNSEEN}]"))


def _holding(text: pa.StringArray, byte: int) -> np.ndarray:
    data, offsets = _bytes(text)
    rows = np.zeros(len(text), bool)
    rows[np.searchsorted(offsets, np.flatnonzero(data == byte), "right") - 1] = True
    return rows


def _digits(text: pa.StringArray) -> np.ndarray:
    data, offsets = _bytes(text)
    found = np.flatnonzero((data - np.uint8(48)) < 10)
    return np.diff(np.searchsorted(found, offsets))


def _starting(text: pa.StringArray, some: bytes) -> np.ndarray:
    data, offsets = _bytes(text)
    if not len(data):
        return np.zeros(len(text), bool)
    first = data[np.minimum(offsets[:-1], len(data) - 1)]
    return np.isin(first, np.frombuffer(some, np.uint8)) & (np.diff(offsets) > 0)


def _wide(text: pa.StringArray) -> np.ndarray:
    """Return which messages are not ASCII."""
    return pc.not_equal(pc.utf8_length(text), pc.binary_length(text)).to_numpy(zero_copy_only=False)


def _bytes(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Return a column's bytes, and where each cell begins in them, with the end of the last."""
    offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
    data = text.buffers()[2]
    values = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]] if data is not None else np.zeros(0, np.uint8)
    return values, offsets - offsets[0]


def _regex(pattern: str) -> Callable[[pa.StringArray], np.ndarray]:
    return lambda some: pc.match_substring_regex(some, pattern).to_numpy(zero_copy_only=False)


def _cards(some: pa.StringArray) -> np.ndarray:
    return np.array([any(_luhn(card) for card in _CARD.findall(text)) for text in some.to_pylist()], bool)


def _luhn(card: str) -> bool:
    """Return whether a number ends in the check digit of ISO/IEC 7812-1."""
    digits = [int(digit) for digit in card if digit.isdigit()][::-1]
    return sum(digits[0::2]) % 10 == -sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2]) % 10


def _where(some: np.ndarray, text: pa.StringArray, rule: Callable[[pa.StringArray], np.ndarray]) -> np.ndarray:
    """Return what a rule says of some rows, False of the others."""
    found = np.zeros(len(text), bool)
    if some.any():
        found[some] = rule(text.filter(pa.array(some)))
    return found
