import pytest

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.reviews import SqlReviews
from mlops_assets.core.errors import NotFound, Refused
from mlops_assets.core.ports.accountability import Review
from mlops_assets.core.records.decision import ReviewAnswer
from mlops_assets_tests.adapters.processes import race

ANSWER = """
import sys
from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.reviews import SqlReviews
from mlops_assets.core.errors import Refused
from mlops_assets.core.records.decision import ReviewAnswer
reviews = SqlReviews(Database(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
answer = ReviewAnswer(approve=sys.argv[2] == "ann", reviewer=sys.argv[2], reason="r", answered_at="now")
try:
    print(reviews.answer("d1", answer).answer.reviewer)
except Refused:
    print("refused")
"""


def review(decision_id: str = "d1", line: str = "speech") -> Review:
    return Review(
        decision_id=decision_id,
        line=line,
        batch_id="b",
        question="Is it better?",
        asked_at="2026-03-09T00:00:00.000+00:00",
        production_version=1,
        contributor="eve",
    )


def answered(reviewer: str = "ann", approve: bool = True, at: str = "t1") -> ReviewAnswer:
    return ReviewAnswer(approve=approve, reviewer=reviewer, reason="listened to it", answered_at=at)


def test_the_first_answer_wins(database: Database) -> None:
    reviews = SqlReviews(database)
    reviews.ask(review())
    first = reviews.answer("d1", answered())
    assert first.answer == answered()
    assert reviews.answer("d1", answered(at="t2")) == first
    with pytest.raises(Refused, match="ann approved"):
        reviews.answer("d1", answered("bob", approve=False))
    with pytest.raises(Refused, match="ann approved"):
        reviews.answer("d1", answered(approve=False))
    assert reviews.get("d1") == first
    assert reviews.ask(review()) == first


def test_open_reviews_are_listed_in_order(database: Database) -> None:
    reviews = SqlReviews(database)
    for decision_id, line in (("d2", "speech"), ("d1", "speech"), ("d3", "other")):
        reviews.ask(review(decision_id, line))
    reviews.answer("d2", answered())
    assert [one.decision_id for one in reviews.list()] == ["d2", "d1", "d3"]
    assert [one.decision_id for one in reviews.list("speech", open_only=True)] == ["d1"]
    for ask_for in (lambda: reviews.get("d9"), lambda: reviews.answer("d9", answered())):
        with pytest.raises(NotFound, match="d1, d3"):
            ask_for()


def test_of_two_reviewers_one_is_heard(database: Database) -> None:
    SqlReviews(database).ask(review())
    said = race(ANSWER, [[database.url, "ann"], [database.url, "bob"]])
    assert sorted(said)[1] == "refused\n"
    answer = SqlReviews(database).get("d1").answer
    assert answer is not None
    assert f"{answer.reviewer}\n" in said
