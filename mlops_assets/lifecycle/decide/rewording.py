"""What is said of a decision, in a language model's words: every number, id and direction stays where it was."""

import re

from mlops_assets.core.records.decision import Evidence, Exchange
from mlops_assets.lifecycle.decide.pseudonyms import Pseudonyms, plain, shown

REWORD = """Reword this message to the people who run a model, so that it reads well: plain sentences, one paragraph,
about as long as it is. Change no fact. Keep every number, date, version and id (such as S1 or C2) exactly as it is
written and in the same order, spell no number out, and add none. Keep every word such as better, worse, gain, loss,
approved or rejected. Use no markup and no address. Answer with the paragraph alone.

{paragraph}"""

ADDED = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:'\"()?!-—%"
DIRECTIONS = re.compile(
    r"(better|worse|improv|degrad|gain|gr[eo]w|fell|fall|rose|rise|drop|los[ts]|lose|harm|more|less|fewer|least|most|"
    r"above|below|exceed|reach|approve|reject|review|no|not|never|none|nothing|without|cannot)[a-z]*|\w+n't|"
    r"zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(thir|four|fif|six|seven|eigh|nine)teen|(twen|thir|for|fif|six|seven|eigh|nine)ty|hundreds?|thousands?|millions?|"
    r"half|halve[sd]?|thirds?|quarters?|once|twice|thrice|doubl\w+|tripl\w+|dozens?|percent",
    re.IGNORECASE,
)
ADDRESS = re.compile(r"://|www\.|\w\.[A-Za-z]{2,}")
EDGES = ".,;:'\"()?!—“”‘’"


def wording_prompt(paragraph: str, evidence: Evidence) -> tuple[str, dict[str, str]]:
    """Return what a model is asked to word anew, with ids in place of names, and what the ids stand for."""
    hidden, stands = Pseudonyms(evidence).hide(paragraph)
    return REWORD.format(paragraph=hidden), stands


def reworded(paragraph: str, exchange: Exchange) -> str | None:
    """Return the paragraph in the model's words, or None if it changed more than words: then the original stands.

    Numbers, ids, dates and versions, and the words that say in which direction something went, have to be the same in
    the same order: '0.90 instead of 0.91' must not become '0.91 instead of 0.90'.
    """
    if exchange.purpose != "wording" or exchange.failure or exchange.answer is None:
        return None
    given = exchange.prompt.removeprefix(REWORD.format(paragraph=""))
    if shown(given, exchange.names) != plain(paragraph):
        return None
    answer = " ".join(exchange.answer.strip().strip('"').split())
    if not len(given) / 3 <= len(answer) <= 2 * len(given) or set(answer) - set(ADDED) - set(given):
        return None
    if _facts(answer) != _facts(given) or ADDRESS.findall(answer) != ADDRESS.findall(given):
        return None
    return shown(answer, exchange.names)


def _facts(text: str) -> list[str]:
    """Return the words of a text that may not change: whatever has a digit in it, and directions."""
    words = (word.strip(EDGES) for word in re.sub(r"(\d) %", r"\1%", text).split())
    return [word.lower() for word in words if re.search(r"[\d%]", word) or DIRECTIONS.fullmatch(word)]
