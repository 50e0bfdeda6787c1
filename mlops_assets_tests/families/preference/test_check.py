import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.families.preference import FAMILY
from mlops_assets.families.preference.config import Config
from mlops_assets_tests.families.preference.events import events
from mlops_assets_tests.families.preference.prepared import TINY, check, check_folder, codes

GOOD = events(3)  # the first of them is liked
EVENT = GOOD[0]


def one(**changes: Any) -> dict[str, Any]:
    return {name: cell for name, cell in (EVENT | changes).items() if cell is not None}


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (one(rating="five"), "PRF010"),
        (one(rating=True), "PRF010"),
        (one(rating="nan"), "PRF010"),
        (one(rating=0), "PRF011"),
        (one(rating=6), "PRF011"),
        (one(rating=10**400), "PRF010"),
        (one(rating=4.5), "PRF012"),
        (one(type="x" * 500), "PRF013"),
        (one(user="u" * 500), "PRF013"),
        (one(type="a\x00b"), "PRF005"),
        (one(origin="dream"), "PRF016"),
        (one(cohort="old"), "PRF017"),
        (one(type={"a": 1}), "PRF003"),
        (one(type="\ud800"), "PRF003"),
        ('{"rating": NaN, "type": "chords"}', "PRF003"),
        ('{"rating": Infinity}', "PRF003"),
        ('{"rating": 5, "rating": 1}', "PRF003"),
        ("[" * 30_000, "PRF003"),
        ('{"rating": ' + "9" * 5_000 + "}", "PRF003"),
        ("[1, 2]", "PRF003"),
        ("=cmd()", "PRF003"),
        (one(key="k" * 70_000), "PRF004"),
    ],
)
def test_a_bad_event_is_dropped_with_its_reason_and_costs_nobody_else(tmp_path, row, code):
    checked, items = check(tmp_path, [*GOOD, row])
    dropped = [found.code for found in checked.findings if found.severity == "drop"]
    assert dropped == [code]
    assert (checked.total, checked.kept, len(items)) == (len(GOOD) + 1, len(GOOD), len(GOOD))


@pytest.mark.parametrize(
    ("changes", "code", "feature"),
    [
        ({"bars": 1e9}, "PRF036", ("bars", None)),
        ({"bars": "eight"}, "PRF036", ("bars", None)),
        ({"bars": -3}, "PRF036", ("bars", None)),
        ({"user": None}, "PRF034", ("user", None)),
        ({"timestamp": "yesterday"}, "PRF037", None),
        ({"timestamp": "2999-01-01T00:00:00Z"}, "PRF037", None),
        ({"timestamp": 10**300}, "PRF037", None),
        ({"timestamp": -5}, "PRF037", None),
    ],
)
def test_an_odd_event_is_kept_with_a_remark(tmp_path, changes, code, feature):
    checked, items = check(tmp_path, [*GOOD[1:], one(**changes)])
    assert checked.kept == len(GOOD)
    assert code in codes(checked)
    if feature:
        name, expected = feature
        assert [item.value[name] for item in items if isinstance(item.value, dict)].count(expected) == 1


def test_values_outside_a_vocabulary_are_remarked_on(tmp_path):
    config = TINY.model_copy(update={"vocabulary": {"type": ("Chords", "drums", "melody")}})
    checked, items = check(tmp_path, [*GOOD, one(type="yodel", timestamp=None)], config)
    assert codes(checked)["PRF035"] == 1
    assert len(items) == len(GOOD) + 1


def test_fractions_of_a_rating_can_be_rounded(tmp_path):
    config = TINY.model_copy(update={"fractional_ratings": "round"})
    checked, items = check(tmp_path, [one(rating=3.5), one(rating=1.2, user="b"), one(rating=2, user="c")], config)
    assert codes(checked) == {"PRF038": 2}
    assert sorted(item.attributes["rating"] for item in items) == [1, 2, 4]


def test_copies_go_and_of_contradicting_ratings_the_latest_stays(tmp_path):
    mind = [one(result="r1", rating=rating, timestamp=f"2026-02-0{day}T00:00:00Z") for day, rating in ((1, 2), (2, 5))]
    torn = [one(rating=rating, user="torn") for rating in (1, 5)]
    checked, items = check(tmp_path, [EVENT, EVENT, one(type="CHORDS "), *mind, *torn])
    assert codes(checked) == {"PRF014": 2, "PRF015": 3}
    assert sorted(item.attributes["rating"] for item in items) == sorted([EVENT["rating"], 5])


def test_ratings_without_time_and_result_may_repeat(tmp_path):
    plain = {"rating": 5, "type": "chord_progression", "notes": "Great progression!"}
    rows = [plain, plain, plain | {"rating": 1}]
    checked, items = check(tmp_path, rows)
    assert codes(checked) == {"PRF031": 1, "PRF034": 3, "PRF039": 1}
    assert len({item.id for item in items}) == len({item.cluster for item in items}) == 3
    assert FAMILY.leaks(items, items) == []


def test_usage_is_counted_and_says_what_a_rating_was_about(tmp_path):
    use = one(rating=None, result="r7")
    said = {"user": EVENT["user"], "rating": 2, "result": "r7", "notes": "call me: +49 170 1234567"}
    stranger = {"user": "other", "rating": 4, "result": "r7"}
    checked, items = check(tmp_path, [use, one(rating=None), said, stranger])
    assert codes(checked) == {"PRF030": 1, "PRF031": 1, "PRF032": 1}
    assert (checked.total, checked.kept) == (2, 2)
    assert checked.statistics["usage_events"] == 2
    assert checked.statistics["completed_from_usage"] == 1
    by_rating = {item.attributes["rating"]: item.value for item in items}
    assert by_rating[2]["type"] == "chords"
    assert by_rating[4]["type"] is None


def test_nobody_can_be_read_off_a_dataset(tmp_path):
    when = "2026-01-01T00:00:0"
    rows = [one(user="jane.doe@example.com", notes="secret", timestamp=f"{when}{at}Z", rating=at) for at in range(1, 5)]
    checked, items = check(tmp_path, rows)
    written = (tmp_path / "data" / "items.jsonl").read_text()
    assert "jane" not in written
    assert "secret" not in written
    assert not any("jane" in (found.item or "") + found.detail for found in checked.findings)
    assert {item.cluster for item in items} == {items[0].value["user"]}
    assert codes(checked) == {"PRF031": 1, "PRF033": 4}


def test_machines_and_loud_users_are_named_and_cost_quality(tmp_path):
    robot = [one(user="robot", rating=5, timestamp=f"2026-03-01T00:{at:02}:00Z") for at in range(50)]
    checked, _ = check(tmp_path, [*GOOD, *robot])
    assert codes(checked) == {"PRF020": 1, "PRF021": 1}
    assert checked.statistics["machine_like_ratings"] == 50
    assert checked.quality_score == pytest.approx(10 * (len(GOOD) + 25) / (len(GOOD) + 50), abs=0.01)


def test_equal_ratings_teach_nothing(tmp_path):
    checked, _ = check(tmp_path, [row | {"rating": 5} for row in GOOD])
    assert [found.code for found in checked.findings if found.severity == "quarantine"] == ["PRF022"]


def test_usage_alone_is_no_batch(tmp_path):
    rows = [{name: row[name] for name in row if name != "rating"} for row in GOOD]
    checked, items = check(tmp_path, rows)
    assert [found.code for found in checked.findings if found.severity == "quarantine"] == ["PRF006"]
    assert items == []


def test_too_many_events_are_refused(tmp_path):
    checked, items = check(tmp_path, GOOD, TINY.model_copy(update={"max_events": 10}))
    assert codes(checked) == {"PRF008": 1}
    assert items == []


def test_slices_tell_cohort_history_and_kind(tmp_path):
    rows = [
        one(cohort="new", timestamp=None),
        one(user=None, cohort="known"),
        *(one(user="b", key=str(at)) for at in range(5)),
    ]
    _, items = check(tmp_path, rows)
    slices = {item.cluster: item.slices for item in items}
    assert sorted(slices.values(), key=len)[0] == ("label:likes", "history:many", "type:chords")
    assert {"user:new", "history:few"} <= {name for each in slices.values() for name in each}
    assert {"user:known", "history:none"} <= {name for each in slices.values() for name in each}


def test_leaks_are_found_under_another_rating_name_or_without_their_time(tmp_path):
    _, golden = check(tmp_path / "golden", GOOD)
    changed = {
        "exact": EVENT,
        "relabelled": one(rating=6 - EVENT["rating"]),
        "renamed": one(user="somebody"),
        "timeless": one(timestamp=None),
        "later that day": one(timestamp=f"{EVENT['timestamp'][:10]}T23:58:59Z"),
    }
    for name, row in changed.items():
        _, items = check(tmp_path / name, [row, one(user="z", rating=1)])
        found = FAMILY.leaks(items, golden)
        assert [leak.kind for leak in found] == ["exact" if name == "exact" else "near"]
    _, others = check(tmp_path / "others", [one(timestamp="2026-07-07T07:07:07Z"), one(user="z", rating=1, key="9z")])
    assert FAMILY.leaks(others, golden) == []


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.dictionaries(
                st.sampled_from(["rating", "user", "type", "bars", "timestamp", "result", "origin", "notes", "x"]),
                st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
            ),
        ),
        max_size=12,
    )
)
def test_whatever_is_in_a_batch_check_ends_with_findings(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    (folder / "batch").mkdir()
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    (folder / "batch" / "a.jsonl").write_bytes(b"\n".join(lines))
    checked, items = check_folder(folder / "batch", folder / "data")
    assert checked.kept == len(items) <= checked.total
    assert 0 <= checked.quality_score <= 10
    assert {found.code for found in checked.findings} <= set(FAMILY.findings)
    assert len({item.id for item in items}) == len(items)


def test_columns_of_another_product_need_configuration_only(tmp_path):
    config = Config.model_validate(
        {
            "columns": {"rating": "stars", "user": "customer", "timestamp": "at", "notes": ["review"]},
            "categorical": ["cuisine"],
            "numeric": [{"column": "minutes", "least": 0, "most": 300}],
            "highest_rating": 10,
            "like_threshold": 7,
        }
    )
    rows = [
        {
            "stars": 1 + at % 10,
            "customer": f"c{at % 3}",
            "cuisine": "thai",
            "minutes": at,
            "at": 1.7e9 + at,
            "review": "ok",
        }
        for at in range(20)
    ]
    checked, items = check(tmp_path, rows, config)
    assert codes(checked) == {"PRF031": 1}
    assert checked.labels == {"likes": 8, "dislikes": 12}
    assert items[0].value.keys() == {"customer", "cuisine", "minutes"}
