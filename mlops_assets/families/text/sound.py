"""Make a table of text sound before a fast reader sees it: rows that would take others with them are taken out.

One row's stray quote, wrong encoding or megabyte would otherwise cost the rest of its file. Files without such rows,
nearly all, are told by a few passes over their bytes.
"""

import csv

import numpy as np
import pyarrow as pa

LONGEST_LINE = 1 << 18
LONGEST_VALUE_LINES = 200
_QUOTE, _NEWLINE = ord('"'), ord("\n")


def is_utf8(raw: bytes) -> bool:
    """Return whether bytes are UTF-8 text."""
    offsets = pa.py_buffer(np.array([0, len(raw)], np.int64))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(raw)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def needs_care(raw: bytes) -> bool:
    """Return whether a line is no UTF-8, too long, or opens a quote that it does not close."""
    data = np.frombuffer(raw, np.uint8)
    ends = np.flatnonzero(data == _NEWLINE)
    if np.diff(ends, prepend=-1, append=len(data)).max(initial=0) > LONGEST_LINE or not is_utf8(raw):
        return True
    quotes = np.flatnonzero(data == _QUOTE)
    before = np.searchsorted(quotes, np.append(ends, len(data)))
    return bool(np.any(before & 1))


def repaired(raw: bytes, delimiter: str, columns: int) -> tuple[bytes, list[tuple[int, str, str]]]:
    """Return the rows of a CSV file that can be read, its header too, and number, code and reason of the others.

    A quoted value may hold line breaks, at most 200; a quote that is never closed costs its own line only.
    """
    lines = raw.split(b"\n")
    kept: list[bytes] = []
    lost: list[tuple[int, str, str]] = []
    at = row = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        row += 1
        problem = _problem(lines[at])
        used = 1
        if problem is None and lines[at].count(b'"') % 2:
            used = _value_lines(lines, at, delimiter, columns)
            problem = None if used else ("TXT003", "a quote that is not closed")
        if problem is None:
            kept.append(b"\n".join(lines[at : at + used]))
        else:
            lost.append((row, problem[0], problem[1]))
        at += max(used, 1)
    return b"\n".join(kept), lost


def _problem(line: bytes) -> tuple[str, str] | None:
    if len(line) > LONGEST_LINE:
        return "TXT012", f"a line of {len(line)} bytes"
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return "TXT004", f"byte {line[error.start]:#04x} at {error.start}"
    return None


def _value_lines(lines: list[bytes], at: int, delimiter: str, columns: int) -> int:
    """Return how many lines from `at` make one row of the right width, 0 for none."""
    size = len(lines[at])
    for end in range(at + 1, min(at + LONGEST_VALUE_LINES, len(lines))):
        size += len(lines[end])
        if size > LONGEST_LINE or (_problem(lines[end]) is not None):
            return 0
        if lines[end].count(b'"') % 2:
            text = b"\n".join(lines[at : end + 1]).decode("utf-8")
            try:
                rows = list(csv.reader([text], delimiter=delimiter, strict=True))
            except csv.Error:
                return 0
            return end + 1 - at if len(rows) == 1 and len(rows[0]) == columns else 0
    return 0
