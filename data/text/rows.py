"""The messages of the four text lines, as rows: which phrases a set draws from, and what its labels are worth.

Golden sets and batches share words and topics, and no phrase. A sealed set has the golden set's phrases in the words of
other people, and no message that is nearly a golden one. A phrase that fits two labels is given one of them by
chance, and readers of emotions are a little noisy, so that nothing can be right about everything.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from data.text.phrases import SEED, Author, Distinct, Phrase, authors, fill, recipe, typed

CONTEXTS = ("professional", "psychological", "learning", "social", "emotional", "aspirational")
INTENTS = ("rag_query", *CONTEXTS, "chitchat")
DIMENSIONS = ("joy", "trust", "fear", "surprise", "sadness", "disgust", "anger", "anticipation")
JOINTS = (" and ", ", also ", ". ", ", ")
MOST_DRAWS = 60

Row = dict[str, Any]


def phrases_of(line: str, side: str) -> list[Phrase]:
    """Return every phrase of a line on one side ('golden' or 'batch'), ambiguous ones with two labels."""
    if line == "emotion":
        return [_emotional(i, clause, side) for i, clause in enumerate(recipe("emotion")["clauses"][side])]
    sources = recipe("contexts") | {key: recipe("intent")[key] for key in ("rag_query", "chitchat")}
    if line == "worthiness":
        return _worthiness(sources, side)
    labels = CONTEXTS if line == "context" else INTENTS
    found = [_phrase(label, side, i, text, label) for label in labels for i, text in enumerate(sources[label][side])]
    for i, each in enumerate(recipe("intent")["ambiguous"][side]):
        if set(each["labels"]) <= set(labels):
            found.append(_phrase("ambiguous", side, i, each["text"], *each["labels"]))
    return found


def _phrase(kind: str, side: str, number: int, text: str, *labels: str) -> Phrase:
    return Phrase(f"{kind}-{side[0]}{number:02}", text, labels)


def _emotional(number: int, clause: Mapping[str, Any], side: str) -> Phrase:
    scores = {name: clause[name] for name in DIMENSIONS if name in clause}
    return Phrase(f"emotion-{side[0]}{number:02}", clause["text"], tuple(scores), scores)


def _worthiness(sources: Mapping[str, Any], side: str) -> list[Phrase]:
    """Half of each answer from the other lines' phrases, half of its own; those that could be either have both."""
    own, found = recipe("worthiness"), []
    for i, text in enumerate(own["worthy"][side]):
        found.append(_phrase("worthy", side, i, text, "true"))
    for i, text in enumerate(own["unworthy"][side]):
        found.append(_phrase("unworthy", side, i, text, "false"))
    borrowed = len(own["worthy"][side]) // len(CONTEXTS) + 1
    for label in CONTEXTS:
        found += [_phrase(label, side, i, text, "true") for i, text in enumerate(sources[label][side][:borrowed])]
    for label in ("rag_query", "chitchat"):
        texts = sources[label][side][: 3 * borrowed]
        found += [_phrase(label, side, i, text, "false") for i, text in enumerate(texts)]
    for i, text in enumerate(own["either"][side]):
        found.append(_phrase("either", side, i, text, "true", "false"))
    return found


class Writer:
    """Draws the messages of one set, no two alike and none like a `known` one, in the words of people of its own."""

    def __init__(self, line: str, name: str, phrases: Sequence[Phrase] = (), known: Sequence[Row] = ()) -> None:
        self.line, self.side = line, "golden" if name.startswith(("golden", "sealed")) else "batch"
        self.draw = random.Random(f"{SEED}/{line}/{name}")
        self.phrases = phrases or phrases_of(line, self.side)
        self.authors = authors(self.phrases, f"{name}-", self.draw)
        self.distinct = Distinct([row["message"] for row in known])

    def rows(self, phrases: Sequence[Phrase], count: int, write: Callable[[Phrase, Author], Row]) -> Iterator[Row]:
        """Yield `count` rows, phrases taking turns; one that has nothing new to say is passed over."""
        left, made, turn = self.draw.sample(list(phrases), len(phrases)), 0, 0
        while made < count:
            if not left:
                raise SystemExit(f"The phrases of {self.line} cannot make {count} messages: add some to the recipe")
            phrase = left[turn % len(left)]
            for _ in range(MOST_DRAWS):
                row = write(phrase, self.authors[phrase.id])
                if self.distinct.accepts(row["message"]):
                    yield row
                    made, turn = made + 1, turn + 1
                    break
            else:
                left.remove(phrase)

    def message(self, text: str, author: Author) -> str:
        """Return a filled phrase as its author types it."""
        return typed(text, author, self.side, self.draw)

    def common(self, phrase: Phrase, author: Author) -> Row:
        """Return the columns that every line's rows end with."""
        return {"user": author.name, "template": phrase.id, "language": "en", "origin": "synthetic"}

    def between(self, low: float, high: float) -> float:
        """Draw a number with two decimals."""
        return round(self.draw.uniform(low, high), 2)


def single_label(line: str, name: str, size: Mapping[str, Any], known: Sequence[Row] = ()) -> list[Row]:
    """Return a set of `intent` or `context`: message, label and how sure the label is."""
    writer, column = Writer(line, name, known=known), "category" if line == "intent" else "context"
    labels = INTENTS if line == "intent" else CONTEXTS

    def write(phrase: Phrase, author: Author) -> Row:
        draw, text = writer.draw, fill(phrase.text, writer.draw)
        low, high = (0.85, 0.99) if len(phrase.labels) == 1 else (0.5, 0.6)
        if len(phrase.labels) == 1 and phrase.labels[0] in CONTEXTS and draw.random() < size["joined"]:
            other = draw.choice([p for p in writer.phrases if p.labels[0] in CONTEXTS and p.labels != phrase.labels])
            text, low, high = text + draw.choice(JOINTS) + fill(other.text, draw), 0.65, 0.85
        row = {"message": writer.message(text, author), column: draw.choice(phrase.labels)}
        return row | {"confidence": writer.between(low, high)} | writer.common(phrase, author)

    rows = []
    for label in labels:
        chosen = [phrase for phrase in writer.phrases if phrase.labels == (label,)]
        rows += writer.rows(chosen, size.get("counts", {}).get(label, size.get("each", 0)), write)
    rows += writer.rows([p for p in writer.phrases if len(p.labels) > 1], size.get("ambiguous", 0), write)
    if name == "shifted":
        rows = [row | {column: labels[(labels.index(row[column]) + 1) % len(labels)]} for row in rows]
    return _noisy(rows, column, labels, size, writer.draw)


def edge() -> list[Row]:
    """Return the suite of intents that are said in another label's words, two messages a phrase."""
    listed = recipe("intent")["edge"]
    phrases = [_phrase("edge", "golden", i, each["text"], each["label"]) for i, each in enumerate(listed["phrases"])]
    writer = Writer("intent", "golden-edge", phrases)

    def write(phrase: Phrase, author: Author) -> Row:
        row = {"message": fill(phrase.text, writer.draw), "category": phrase.labels[0]}
        return row | {"confidence": writer.between(0.7, 0.9)} | writer.common(phrase, author)

    return list(writer.rows(phrases, listed["count"], write))


def worthiness(name: str, size: Mapping[str, Any], known: Sequence[Row] = (), copied: Sequence[Row] = ()) -> list[Row]:
    """Return a set of `worthiness`: message, whether it is worth keeping, and a score on the same side of a half."""
    writer, ranges = Writer("worthiness", name, known=known), recipe("worthiness")

    def write(phrase: Phrase, author: Author) -> Row:
        worthy = writer.draw.choice(phrase.labels)
        score = writer.between(*ranges["worthy" if worthy == "true" else "unworthy"]["score"])
        if len(phrase.labels) > 1:
            score = writer.between(*((0.5, 0.6) if worthy == "true" else (0.4, 0.49)))
        row = {"message": writer.message(fill(phrase.text, writer.draw), author), "is_worthy": worthy, "score": score}
        return row | writer.common(phrase, author)

    rows = []
    for worthy in ("true", "false"):
        rows += writer.rows([p for p in writer.phrases if p.labels == (worthy,)], size["each"], write)
    rows += writer.rows([p for p in writer.phrases if len(p.labels) > 1], size.get("ambiguous", 0), write)
    rows += [_retouched(row, writer.draw) for row in writer.draw.sample(list(copied), size.get("copies", 0))]
    rows = _noisy(rows, "is_worthy", ("true", "false"), size, writer.draw)
    return [row | {"score": round(1 - row["score"], 2)} if _disagree(row) else row for row in rows]


def _disagree(row: Row) -> bool:
    return (row["is_worthy"] == "true") != (row["score"] >= 0.5)


def _retouched(row: Row, draw: random.Random) -> Row:
    """Return a golden row as somebody would smuggle it: as it is, or with other capitals and punctuation."""
    text = row["message"]
    changed = draw.choice([text, text.upper(), text.lower().rstrip(".") + "!!", f"  {text} ", text.replace(",", "")])
    return row | {"message": changed, "user": f"{row['user']}x", "template": f"{row['template']}-again"}


def _noisy(
    rows: list[Row], column: str, labels: Sequence[str], size: Mapping[str, Any], draw: random.Random
) -> list[Row]:
    """Give a few rows a wrong label, as busy people do, and shuffle."""
    for row in draw.sample(rows, round(size.get("noise", 0) * len(rows))):
        row[column] = draw.choice([label for label in labels if label != row[column]])
    return draw.sample(rows, len(rows))


def emotion(name: str, size: Mapping[str, Any], known: Sequence[Row] = ()) -> list[Row]:
    """Return a set of `emotion`: message and, per dimension, how strongly a reader would hear it, 0 to 1."""
    writer, words = Writer("emotion", name, known=known), recipe("emotion")
    factors, joints = words["very"][writer.side], words["joints"][writer.side]

    def clause(phrase: Phrase) -> tuple[str, dict[str, float]]:
        very = writer.draw.choice(list(factors))
        factor = factors[very] if "{very}" in phrase.text else 1.0
        return fill(phrase.text, writer.draw, very=very), {k: v * factor for k, v in phrase.scores.items()}

    def write(phrase: Phrase, author: Author) -> Row:
        text, scores = clause(phrase)
        if writer.draw.random() < size["joined"]:
            second, more = clause(writer.draw.choice([p for p in writer.phrases if p.labels != phrase.labels]))
            text += writer.draw.choice(joints) + second
            scores = {each: max(scores.get(each, 0.0), more.get(each, 0.0)) for each in {*scores, *more}}
        row = {"message": writer.message(text, author)}
        row |= {each: _heard(scores.get(each, 0.0), writer.draw) for each in DIMENSIONS}
        return row | writer.common(phrase, author)

    rows = list(writer.rows(writer.phrases, size["count"], write))
    if name == "inverted":
        rows = [row | {each: round(1 - row[each], 2) for each in DIMENSIONS} for row in rows]
    return writer.draw.sample(rows, len(rows))


def _heard(score: float, draw: random.Random) -> float:
    """Return a score as one reader gives it: normal noise with a standard deviation of 0.05, within 0 to 1."""
    return round(min(max(draw.gauss(score, 0.05), 0.0), 1.0), 2)
