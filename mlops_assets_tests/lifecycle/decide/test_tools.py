"""What single tools give, on scores made for it; `test_inquiry` has them at work."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.core.errors import NotFound, Stale
from mlops_assets.core.family import ItemScore
from mlops_assets.core.records.data import Item
from mlops_assets.core.records.decision import Evidence
from mlops_assets.lifecycle.decide.tools import Shop
from mlops_assets.lifecycle.evaluation.comparing import ScoredSet, scores_lines
from mlops_assets.lifecycle.evaluation.rescoring import scored_set
from mlops_assets_tests.lifecycle.decide.evidences import evidence, set_result
from mlops_assets_tests.lifecycle.decide.inquiry import inquiring_line, open_line

SPEAKERS = 20


def recordings(spoilt: str = "") -> Iterator[tuple[Item, bool, bool]]:
    """Yield items with whether candidate and production have them right.

    The candidate is right on everything but what is both far and noisy, where production was; and so is the other way
    round half of the rest. `spoilt` names a speaker of whom the candidate has nothing right.
    """
    for speaker in range(SPEAKERS):
        for at in range(8):
            place, noise = ("far", "near")[at % 2], ("high", "low")[at // 2 % 2]
            harmed = (place, noise) == ("far", "high")
            name = f"s{speaker:02}"
            item = Item(id=f"{name}-{at}", cluster=name, slices=(f"place:{place}", f"noise:{noise}"))
            yield item, not harmed and name != spoilt, harmed or at >= 4


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    line = inquiring_line(tmp_path)
    return Shop(open_line(tmp_path, line), line)


def put(shop: Shop, spoilt: str = "") -> tuple[ScoredSet, Evidence]:
    """Store the scores of a golden set, and return it with evidence that names it."""
    items, new, old = zip(*recordings(spoilt), strict=True)
    columns = {
        system: [{"accuracy": ItemScore(numerator=float(right), weight=1.0)} for right in hits]
        for system, hits in (("candidate", new), ("production", old))
    }
    scored = ScoredSet(
        name="golden",
        kind="golden",
        dataset="d" * 64,
        origin="synthetic",
        items=items,
        predictions={system: [None] * len(items) for system in columns},
        scores=columns,  # pyright: ignore[reportArgumentType]
    )
    kept = shop.platform.store.put_bytes(scores_lines(scored))
    policy = shop.line.policy
    return scored, evidence(policy, line=shop.line.line, sets=(set_result(scores=kept),))


def test_scores_are_read_back_as_they_were_stored(shop: Shop) -> None:
    scored, found = put(shop)
    again = scored_set(shop.platform, found.sets[0])
    assert [(each.id, each.cluster, each.slices) for each in again.items] == [
        (each.id, each.cluster, each.slices) for each in scored.items
    ]
    assert again.scores == scored.scores


def test_slices_two_at_a_time_show_what_single_ones_hide(shop: Shop) -> None:
    _, found = put(shop)
    bought = shop.slice_report(found)
    assert bought.slices is not None
    harmed = {each.slice: each.harmed for each in bought.slices.scan}
    assert harmed == {
        "noise:high & place:far": True,
        "noise:high & place:near": False,
        "noise:low & place:far": False,
        "noise:low & place:near": False,
    }
    assert [each.tool for each in bought.purchases] == ["slice_report"]
    assert shop.slice_report(found) == bought
    assert len(shop.platform.ledger.entries(kind="bought")) == 1


def test_the_cluster_that_carries_most_comes_first_with_the_rests_difference(shop: Shop) -> None:
    scored, found = put(shop, spoilt="s07")
    report = shop.slice_report(found).slices
    assert report is not None
    assert len(report.clusters) == SPEAKERS
    first = report.clusters[0]
    gains = np.array(
        [
            scored.scores["candidate"][at]["accuracy"].numerator - scored.scores["production"][at]["accuracy"].numerator
            for at in range(len(scored.items))
        ]
    )
    own = np.array([item.cluster == "s07" for item in scored.items])
    assert (first.cluster, first.n) == ("s07", 8)
    assert (first.delta, first.without) == (pytest.approx(gains[own].mean()), pytest.approx(gains[~own].mean()))


def test_a_sealed_set_that_was_replaced_is_not_opened(shop: Shop) -> None:
    _, found = put(shop)
    with pytest.raises(NotFound, match="no longer the one"):
        shop.sealed_set(found.model_copy(update={"sealed": "0" * 64}))
    assert shop.platform.ledger.entries(kind="opened") == shop.platform.ledger.entries(kind="bought") == []


def test_seeds_are_of_the_candidate_that_is_judged(shop: Shop) -> None:
    _, found = put(shop)
    with pytest.raises(Stale, match="not the one"):
        shop.seeds(found)
