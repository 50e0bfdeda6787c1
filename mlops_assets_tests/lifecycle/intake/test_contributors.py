from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.core.dataset import read_items
from mlops_assets.core.family import ItemScore, MetricSpec
from mlops_assets.core.line import Line
from mlops_assets.core.policy import DataGates
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import Finding, Item, ValidatedData
from mlops_assets.core.records.evaluation import ContributorReport, EvalReport
from mlops_assets.lifecycle.evaluation.evaluate import evaluate
from mlops_assets.lifecycle.holding import production
from mlops_assets.lifecycle.intake.contributors import answered_by, capped, contributors, disagrees, shares
from mlops_assets.lifecycle.intake.ingest import ingest
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets.lifecycle.progress import progress_file
from mlops_assets.lifecycle.training.train import train
from mlops_assets_tests.lifecycle.chain import open_light_line, run, submit
from mlops_assets_tests.lines import TOPICS, Row, texts, write_rows

COUNTS = st.lists(st.integers(1, 60), min_size=1, max_size=12)
SHARES = st.sampled_from([0.05, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.9, 1.0])


def items_of(counts: Sequence[int]) -> list[Item]:
    return [Item(id=f"{who}-{at}", cluster=f"user{who}") for who, count in enumerate(counts) for at in range(count)]


@settings(deadline=None, max_examples=60)
@given(COUNTS, SHARES)
def test_after_the_cap_nobody_has_more_than_the_share_and_the_same_input_gives_the_same_items(counts, share):
    items = items_of(counts)
    chosen = capped(items, share, "salt")
    owned = Counter(item.cluster for item in chosen)
    assert all(count <= share * len(chosen) + 1e-9 for count in owned.values())
    names = {item.id for item in chosen}
    assert chosen == [item for item in items if item.id in names], "in their order"
    again = capped(list(reversed(items)), share, "salt")
    assert {item.id for item in again} == names, "whatever order they came in"


@settings(deadline=None, max_examples=60)
@given(COUNTS, SHARES)
def test_the_cap_leaves_out_nobody_who_is_within_it_and_as_few_as_it_can(counts, share):
    items = items_of(counts)
    chosen = capped(items, share, "salt")
    owned = Counter(item.cluster for item in chosen)
    fits = [total for total in range(len(items) + 1) if _room(counts, share, total) >= total]
    assert len(chosen) == max(fits)
    if chosen:
        limit = share * len(chosen)
        assert all(owned[f"user{who}"] == min(count, int(limit + 1e-9)) for who, count in enumerate(counts))


def _room(counts: Sequence[int], share: float, total: int) -> int:
    return sum(min(count, int(share * total + 1e-9)) for count in counts)


@pytest.fixture
def opened(tmp_path: Path) -> tuple[Platform, Line]:
    return open_light_line(tmp_path)


def with_cap(line: Line, share: float, min_items: int = 4) -> Line:
    data = DataGates(max_contributor_share=share, min_items=min_items)
    return line.model_copy(update={"policy": line.policy.model_copy(update={"data": data})})


def sent(platform: Platform, line: Line, rows: Sequence[Row]) -> tuple[ValidatedData, list[Finding]]:
    folder = platform.root / f"batch{len(platform.batches.list(line.line))}"
    write_rows(folder / "texts.jsonl", list(rows))
    batch, _ = ingest(platform, line, folder, contributor="ann", source="cli")
    data = validate(platform, line, batch.batch_id)
    lines = platform.store.read_bytes(data.findings).decode().splitlines()
    return data, [Finding.parse(each) for each in lines]


def test_a_contributor_has_no_more_than_its_share_of_what_is_trained_on(opened: tuple[Platform, Line]):
    platform, line = opened
    rows = texts(5, 90, users=6) + [row | {"user": "loud"} for row in texts(6, 210)]
    data, findings = sent(platform, with_cap(line, 0.2), rows)
    items = read_items(platform.store.folder(data.dataset))
    assert data.accepted
    assert (data.total, data.kept, data.left_out) == (300, len(items), 300 - len(items))
    assert shares(items)[0][:2] == ("loud", 22)
    assert data.dropped == {}, "nothing is wrong with what was left out: the limit on dropped items is not about it"
    assert [each.detail for each in findings if each.code == "VAL022"] == ["loud: 188 of 210 items"]
    assert sum(data.labels.values()) == len(items)


def test_a_batch_of_too_few_contributors_is_kept_whole_and_says_so(opened: tuple[Platform, Line]):
    platform, line = opened
    data, findings = sent(platform, with_cap(line, 0.2), texts(5, 60, users=3))
    assert (data.accepted, data.kept, data.left_out) == (True, 60, 0)
    assert data.flagged == {"VAL023": 3}
    assert "33% of at most 20%" in findings[0].detail


def test_a_cap_that_would_leave_too_little_to_train_on_leaves_out_nothing(opened: tuple[Platform, Line]):
    platform, line = opened
    rows = texts(5, 10, users=5) + [row | {"user": "loud"} for row in texts(6, 200)]
    data, _ = sent(platform, with_cap(line, 0.2, min_items=30), rows)
    assert (data.accepted, data.kept, data.flagged) == (True, 210, {"VAL023": 1})


def flipped(rows: Sequence[Row], user: str) -> list[Row]:
    following: dict[str, str] = dict(zip(TOPICS, (*TOPICS[1:], TOPICS[0]), strict=True))
    return [row | {"label": following[row["label"]]} if row["user"] == user else row for row in rows]


def reported(platform: Platform, line: Line, rows: Sequence[Row]) -> tuple[ContributorReport, ...]:
    data, _ = sent(platform, line, rows)
    return contributors(
        platform, line, data, production(platform, line), progress_file(platform, line.line, data.batch_id)
    )


def test_a_contributor_with_flipped_labels_is_named_among_honest_ones(opened: tuple[Platform, Line]):
    platform, line = opened
    run(platform, line, submit(platform, line, "good", items=400))
    found = reported(platform, line, flipped(texts(7, 240, users=12), "user3"))
    assert [each.contributor for each in found if each.outlier] == ["user3"]
    named = next(each for each in found if each.outlier)
    assert (named.items, named.share) == (20, pytest.approx(1 / 12))
    assert named.disagreement is not None
    assert named.disagreement > 0.8
    assert all(each.disagreement is not None and each.disagreement < 0.3 for each in found if each is not named)


def test_honest_contributors_are_not_named(opened: tuple[Platform, Line]):
    platform, line = opened
    run(platform, line, submit(platform, line, "good", items=400))
    for seed in range(20, 26):
        assert not any(each.outlier for each in reported(platform, line, texts(seed, 240, users=12)))


def test_the_report_of_a_batch_shows_its_largest_contributors(opened: tuple[Platform, Line]):
    platform, line = opened
    run(platform, line, submit(platform, line, "good"))
    rows = flipped(texts(8, 400, users=70), "user1")
    data, _ = sent(platform, line, rows + [row | {"user": "big"} for row in texts(9, 40)])
    train(platform, line, data.batch_id)
    report = evaluate(platform, line, data.batch_id)
    assert report == platform.records.get(line.line, data.batch_id, "eval_report")
    assert isinstance(report, EvalReport)
    assert len(report.contributors) == 50
    assert report.contributors[0].contributor == "big"
    assert [each.items for each in report.contributors] == sorted((e.items for e in report.contributors), reverse=True)


def test_without_a_production_version_there_are_shares_alone(opened: tuple[Platform, Line]):
    platform, line = opened
    data, _ = sent(platform, line, texts(8, 60, users=6))
    found = contributors(platform, line, data, None, progress_file(platform, line.line, data.batch_id))
    assert [(each.share, each.disagreement, each.adjusted) for each in found] == [(10 / 60, None, None)] * 6
    assert not any(each.outlier for each in found)


def test_an_answer_disagrees_when_it_is_less_than_half_right():
    words = MetricSpec(name="wer", higher_is_better=False, unit="share of words", title="")
    hits = MetricSpec(name="accuracy", higher_is_better=True, unit="share of texts", title="")
    squares = MetricSpec(name="rmse", higher_is_better=False, unit="levels", title="", root=True)
    assert answered_by([squares, hits, words]) is words
    assert answered_by([squares, hits]) is hits
    assert answered_by([squares]) is None
    assert disagrees(ItemScore(numerator=5, weight=8), words)
    assert not disagrees(ItemScore(numerator=4, weight=8), words)
    assert disagrees(ItemScore(numerator=0, weight=1), hits)
    assert not disagrees(ItemScore(numerator=1, weight=1), hits)
    assert disagrees(ItemScore(numerator=0, weight=0), hits) is None
