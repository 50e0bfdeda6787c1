from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.outbox import Outbox


def test_an_effect_is_owed_once_until_it_happened(database: Database) -> None:
    outbox = Outbox(database)
    assert outbox.add("a", "alert", {"text": "ü"})
    assert not outbox.add("a", "alert", {"text": "other"})
    assert outbox.add("b", "alert", {})
    assert outbox.add("c", "tracker", {})
    outbox.failed("a", "the server answered 500")
    outbox.failed("a", "x" * 10_000)
    first, second = outbox.waiting("alert")
    assert (first.key, first.payload, first.attempts, len(first.note)) == ("a", {"text": "ü"}, 2, 500)
    assert (second.key, second.attempts) == ("b", 0)
    outbox.done("a")
    outbox.failed("a", "a late report changes nothing")
    assert [owed.key for owed in outbox.waiting("alert")] == ["b"]
    assert not outbox.add("a", "alert", {})


def test_what_needs_no_delivery_is_kept_as_done(database: Database) -> None:
    outbox = Outbox(database)
    assert outbox.add("a", "alert", {}, done=True, note="log only")
    assert outbox.waiting("alert") == []
    assert not outbox.add("a", "alert", {})
