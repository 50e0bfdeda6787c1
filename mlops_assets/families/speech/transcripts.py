"""What a transcript must be before a model may learn from it: text of the right script, length and privacy."""

import re
import unicodedata

_SECRETS = (
    re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w"),
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"\b(?:sk|pk|rk)[-_](?:[a-z]+[-_])?[A-Za-z0-9_-]{16,}"),
    re.compile(r"\b(?:gh[pousr]_|github_pat_|hf_|glpat-|xox[abprs]-)[A-Za-z0-9_-]{16,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\."),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"),
    re.compile(r"\b\d{3}-\d{2}-\d{4}\b"),
)
_CONTROL = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd]"
)
_DIGITS = re.compile(r"\d(?:[ -]?\d){12,18}")
_SCRIPTS = {
    "CYRILLIC": "ru uk bg sr mk be kk mn tg tt ba",
    "CJK HIRAGANA KATAKANA": "zh ja yue",
    "HANGUL": "ko",
    "ARABIC": "ar fa ur ps sd",
    "HEBREW": "he yi",
    "GREEK": "el",
    "DEVANAGARI": "hi mr ne sa",
    "THAI": "th",
    "TAMIL": "ta",
    "TELUGU": "te",
    "BENGALI": "bn as",
    "GUJARATI": "gu",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "GURMUKHI": "pa",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
    "ETHIOPIC": "am",
    "KHMER": "km",
    "LAO": "lo",
    "MYANMAR": "my",
    "SINHALA": "si",
    "TIBETAN": "bo",
}
_BY_LANGUAGE = {language: tuple(script.split()) for script, codes in _SCRIPTS.items() for language in codes.split()}


def clean(text: str) -> str:
    """Return a transcript in Unicode NFC with single spaces and no space at its ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def has_control(text: str) -> bool:
    """Say whether a transcript holds NUL or another control character that is not white space."""
    return _CONTROL.search(text) is not None


def has_secret(text: str) -> bool:
    """Say whether a transcript holds what looks like an e-mail address, a card, account or identity number or a key."""
    return any(pattern.search(text) for pattern in _SECRETS) or any(_luhn(match[0]) for match in _DIGITS.finditer(text))


def spoken_characters(text: str) -> int:
    """Return about how many letters are spoken: a digit counts as four ('7' is said 'seven')."""
    return sum(map(str.isalnum, text)) + 3 * sum(map(str.isdigit, text))


def fits_script(text: str, language: str) -> bool:
    """Say whether most letters are of the script `language` is written in (Latin where no other is known)."""
    scripts = _BY_LANGUAGE.get(language, ("LATIN",))
    if text.isascii() and "LATIN" in scripts:
        return True
    letters = [unicodedata.name(character, "") for character in text if character.isalpha()]
    return not letters or sum(name.startswith(scripts) for name in letters) * 2 >= len(letters)


def _luhn(number: str) -> bool:
    digits = [int(character) for character in reversed(number) if character.isdigit()]
    total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return total % 10 == 0
