"""Which messages can be predicted: one at a time and without pyarrow, which serving does not need."""

import re
from pathlib import Path

from pydantic import JsonValue

from mlops_assets.core.rows import half_character
from mlops_assets.families.text.config import Config
from mlops_assets.families.text.findings import refusal

UNSEEN = "\x80-\x9f\u202a-\u202e\u2066-\u2069"  # C1 controls and changes of direction, as a part of a regex's class
_CONTROLS = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f{UNSEEN}]")


def refuse(input: Path | JsonValue, config: Config) -> str:
    """Return why a message cannot be predicted, "" if it can."""
    if not isinstance(input, str):
        return refusal("TXT003", "the input must be a text")
    if half_character(input):
        return refusal("TXT004", "half of a surrogate pair")
    text = input.strip()
    if _CONTROLS.search(text):
        return refusal("TXT005")
    if not text:
        return refusal("TXT010")
    return refusal("TXT012", f"{len(text)} characters") if len(text) > config.max_chars else ""
