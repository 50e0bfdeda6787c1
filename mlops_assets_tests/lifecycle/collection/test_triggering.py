"""When a training starts: every condition, one at a time, and what is done about it once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlops_assets.core.events import Event, Feedback, Usage
from mlops_assets.core.line import Line, Triggers
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.collection.collecting import retention
from mlops_assets.lifecycle.collection.learnable import learnable
from mlops_assets.lifecycle.collection.triggering import Condition, Why, trigger, why
from mlops_assets.lifecycle.decide import answer
from mlops_assets.lifecycle.deployment.release import release
from mlops_assets.lifecycle.status import status
from mlops_assets_tests.lifecycle.chain import YES, open_light_line, run
from mlops_assets_tests.lifecycle.used import asked, corrected, eager, report, use
from mlops_assets_tests.lines import baseline_line, texts

NOW = datetime.now(UTC)


def look(platform: Platform, line: Line, *, hours: float = 0) -> Why:
    return why(platform, line, datetime.now(UTC) + timedelta(hours=hours))


def of(found: Why, name: str) -> Condition:
    return next(each for each in found.conditions if each.name.endswith(name))


def test_the_names_and_defaults_are_those_of_sources_003_and_004() -> None:
    own = Triggers()
    assert (own.auto_retrain, own.retrain_threshold, own.retrain_interval_hours) == (True, 50, 24)
    assert (own.min_error_cases, own.min_corrected_cases, own.error_rate_threshold) == (100, 50, 0.15)
    assert all(field.description for field in Triggers.model_fields.values())


def test_nothing_reported_starts_nothing_and_says_what_is_missing(platform: Platform, tmp_path: Path) -> None:
    found = look(platform, baseline_line(tmp_path))
    assert not found.start
    assert found.sentence.startswith("No training of topics should start. 0 new examples; a batch of the line has at")
    assert "There are 0 new examples; 50 start a training." in found.sentence
    assert (found.last_training, found.next_at, found.counts) == (None, None, {})


def test_enough_new_examples_start_one_training_and_then_the_interval_holds(platform: Platform, tmp_path: Path) -> None:
    line = eager(baseline_line(tmp_path), retrain_interval_hours=24)
    use(platform, line, seed=1, items=30)
    found = look(platform, line)
    assert found.start
    assert "There are 30 new examples; 30 start a training." in found.sentence
    done = trigger(platform, line, datetime.now(UTC), actor="sensor")
    assert done.batch is not None
    use(platform, line, seed=2, items=30)
    again = look(platform, line)
    interval = of(again, "retrain_interval_hours")
    assert (again.start, again.examples, interval.met) == (False, 30, False)
    assert "24 are to pass between two, until " in again.sentence
    assert again.next_at is not None
    left = datetime.fromisoformat(again.next_at) - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(hours=24)
    later = look(platform, line, hours=25)
    assert (of(later, "retrain_interval_hours").met, later.next_at) == (True, None)
    assert not later.start
    assert f"Batch {done.batch.batch_id} of events is still under way (RECEIVED)." in later.sentence
    assert trigger(platform, line, datetime.now(UTC), actor="sensor").batch is None


def test_error_cases_start_a_training_if_enough_of_them_were_corrected(platform: Platform, tmp_path: Path) -> None:
    line = eager(
        baseline_line(tmp_path),
        retrain_threshold=1_000,
        min_error_cases=10,
        min_corrected_cases=4,
        trigger_on_error_rate=False,
    )
    rows = texts(1, 10)
    names = [f"p{at}" for at in range(10)]
    report(platform, line, [asked(row, name, label="nothing") for row, name in zip(rows, names, strict=True)])
    rated: list[Event] = [Feedback(rating=2, prediction_id=name) for name in names[:7]]
    report(platform, line, [*rated, *(corrected(rows[at], names[at]) for at in (0, 7, 8))])
    found = look(platform, line)
    assert [of(found, name).value for name in ("min_error_cases", "min_corrected_cases")] == [9, 3]
    assert "3 of them were corrected (33%); it takes 4." in found.sentence
    assert not found.start
    report(platform, line, [corrected(rows[9], names[9]), Feedback(rating=3, prediction_id="p9")])
    assert look(platform, line).start


def test_a_confirmed_answer_is_an_example_and_no_error(platform: Platform, tmp_path: Path) -> None:
    line = eager(baseline_line(tmp_path))
    (row,) = texts(1, 1)
    report(platform, line, [asked(row, "p", label=row["label"]), corrected(row, "p")])
    found = look(platform, line)
    assert (found.examples, of(found, "min_error_cases").value) == (1, 0)


def test_an_error_rate_counts_once_it_is_surely_too_high(platform: Platform, tmp_path: Path) -> None:
    line = eager(baseline_line(tmp_path), retrain_threshold=1_000)
    rows = texts(1, 60)
    unseen = [asked(row, f"s{at}", arm="shadow", of=f"p{at}") for at, row in enumerate(rows)]
    report(platform, line, [*(asked(row, f"p{at}", label="nothing") for at, row in enumerate(rows)), *unseen])
    report(platform, line, [corrected(rows[at], f"p{at}") for at in range(12)])
    found = look(platform, line)
    assert (
        "12 of 60 answers were reported wrong (20.0%, surely more than " in of(found, "error_rate_threshold").sentence
    )
    assert not found.start
    report(platform, line, [corrected(rows[at], f"p{at}") for at in range(12, 18)])
    assert look(platform, line).start
    assert not look(platform, eager(line, retrain_threshold=1_000, trigger_on_error_rate=False)).start


def test_a_person_may_force_it_but_not_below_what_a_batch_needs(platform: Platform, tmp_path: Path) -> None:
    line = baseline_line(tmp_path).model_copy(update={"triggers": Triggers(auto_retrain=False)})
    line = line.model_copy(update={"collection": eager(line).collection})
    use(platform, line, items=3)
    refused = trigger(platform, line, NOW, actor="ada", force=True)
    assert refused.batch is None
    assert "3 new examples; a batch of the line has at least 4." in refused.why.sentence
    use(platform, line, seed=2, items=3)
    assert trigger(platform, line, NOW, actor="ada").batch is None
    done = trigger(platform, line, NOW, actor="ada", force=True)
    assert done.batch is not None
    assert "It does not train by itself" in done.why.sentence


def test_many_who_look_at_once_make_one_batch(platform: Platform, tmp_path: Path) -> None:
    line = eager(baseline_line(tmp_path))
    use(platform, line, items=30)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: trigger(platform, line, datetime.now(UTC), actor="sensor"), range(4)))
    assert sum(each.batch is not None for each in done) == 1
    assert len(platform.batches.list(line.line)) == 1


def test_ratings_are_learned_with_what_is_known_of_the_result(platform: Platform, tmp_path: Path) -> None:
    line = baseline_line(tmp_path).model_copy(update={"family": "preference", "config": {}})
    report(
        platform,
        line,
        [
            Usage(command="generate_chords", key="10B", bars=8, success=True, user="kim", prediction_id="p"),
            Feedback(rating=5, type="chord_progression", notes="call 555-1234", prediction_id="p"),
            Feedback(rating=1, type="bass", user="eve", at="2026-11-20T08:00:00.000+00:00"),
        ],
    )
    found = learnable(platform, line, after=0)
    first, second = (each.row for each in found.examples)
    assert {name: first[name] for name in first if name != "timestamp"} == {
        "command": "generate_chords",
        "key": "10B",
        "bars": 8,
        "success": True,
        "user": "kim",
        "type": "chord_progression",
        "rating": 5,
    }
    assert second == {"rating": 1, "type": "bass", "user": "eve", "timestamp": "2026-11-20T08:00:00.000+00:00"}
    assert (found.error_cases, found.corrected_cases, found.wrong) == (1, 0, 0)


def test_what_was_reported_ends_in_a_decision_that_a_person_confirms(tmp_path: Path) -> None:
    platform, line = open_light_line(tmp_path)
    line = eager(line)
    use(platform, line, items=120)
    done = trigger(platform, line, datetime.now(UTC), actor="sensor")
    assert done.batch is not None
    decision = run(platform, line, done.batch.batch_id)
    assert (decision.verdict, decision.pending) == ("HUMAN_REVIEW", True)
    assert any("auto_approve_finetuning" in reason for reason in decision.reasons)
    answer(platform, decision.decision_id, YES)
    release(platform, line, done.batch.batch_id)
    assert status(platform, line, done.batch.batch_id) == "DEPLOYED"


def test_events_that_were_forgotten_are_not_waited_for(tmp_path: Path) -> None:
    platform, line = open_light_line(tmp_path)
    line = eager(line)
    use(platform, line, items=30)
    retention(platform, datetime.now(UTC) + timedelta(days=91))
    found = look(platform, line)
    assert (found.examples, found.counts, found.start) == (0, {}, False)
