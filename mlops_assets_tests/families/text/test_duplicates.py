"""Messages that are another message: what the sketches promise, and leaks into protected sets."""

import random

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.records.data import Item
from mlops_assets.families.text.duplicates import firsts, leaks, near
from mlops_assets.families.text.words import CHUNK_BYTES, sketches, split

TEXTS = st.lists(st.text(st.sampled_from("aB é.,😀\n1ñ"), max_size=12), max_size=12)


def item(name: str, text: str) -> Item:
    return Item(id=name, value=text, target="x", cluster=name)


@given(TEXTS)
def test_equal_words_in_order_are_equal_hashes(texts: list[str]) -> None:
    order, least, counts = sketches(pa.array(texts, pa.string()))
    assert counts.tolist() == [len(split(text)) for text in texts]
    for i, one in enumerate(texts):
        for j, other in enumerate(texts):
            if split(one) and split(other):
                assert (order[i] == order[j]) == (split(one) == split(other))
                if set(split(one)) == set(split(other)):
                    assert (least[:, i] == least[:, j]).all()


def test_sketches_do_not_depend_on_the_neighbours() -> None:
    draw = random.Random(3)
    texts = [" ".join(draw.choices(("alpha", "beta", "gamma", "ñandú", "x" * 300), k=9)) for _ in range(3_000)]
    assert sum(map(len, texts)) > 2 * CHUNK_BYTES
    whole = pa.array(texts, pa.string())
    for part in (whole, whole.slice(1_234)):
        order, least, _ = sketches(part)
        alone = sketches(pa.array([texts[-1]], pa.string()))
        assert order[-1] == alone[0][0]
        assert (least[:, -1] == alone[1][:, 0]).all()


@given(st.lists(st.integers(0, 9), max_size=30))
def test_firsts(keys: list[int]) -> None:
    assert firsts(np.array(keys, np.uint64)).tolist() == [keys.index(key) for key in keys]


def test_nearly_equal_messages_are_found() -> None:
    draw = random.Random(5)
    words = [f"w{at}" for at in range(5_000)]
    texts = [" ".join(draw.sample(words, 10)) for _ in range(400)]
    longer = [f"{text} {draw.choice(words)}x" for text in texts]
    both = pa.array(texts + longer, pa.string())
    _, least, counts = sketches(both)
    found = near(both, least, counts, np.zeros(800, np.int32), 0.8)
    assert all(other == row - 400 for row, other in found.items())
    assert len(found) > 0.95 * 400
    assert near(both, least, counts, np.arange(800), 0.8) == {}


def test_leaks_are_found_whole_in_other_letters_and_nearly() -> None:
    protected = [item(f"p{at}", f"tell me please all about subject{at} and its history") for at in range(300)]
    some = [
        item("a", str(protected[7].value)),
        item("b", "TELL ME -- please: all about Subject8 and its history!"),
        item("c", "tell me please all about subject9 and its long history"),
        item("d", "something else entirely about subject9"),
        item("e", "hello there"),
    ]
    found = {leak.item: (leak.kind, leak.protected_item) for leak in leaks(some, protected)}
    assert found == {"a": ("exact", "p7"), "b": ("text", "p8"), "c": ("near", "p9")}
