from pathlib import Path

from mlops_assets_tests.cli.conftest import Shell


def test_events_of_a_file_are_added_once_listed_and_counted(own_shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "rated.jsonl"
    file.write_text('{"rating":5,"user":"ada"}\n{"rating":9}\n{"rating":1,"at":"2026-11-01T08:00:00Z"}\n')
    first = own_shell("events", "add", "topics", str(file), "--kind", "feedback", "--json")
    assert first.code == 1, first.err
    assert first.document["counts"] == {"stored": 2, "invalid": 1}
    assert [(each["where"], each["status"]) for each in first.document["answers"]][1] == ("line 2", "invalid")
    again = own_shell("events", "add", "topics", str(file), "--kind", "feedback")
    assert "line 1: duplicate\nline 2: invalid, rating: Input should be less than or equal to 5\n" in again.out
    assert "2 duplicate, 1 invalid" in again.out
    one, two = own_shell("events", "list", "topics", "--json").document
    assert (one["event"]["user"], two["event"]["at"]) == ("ada", "2026-11-01T08:00:00.000+00:00")
    assert own_shell("events", "list", "topics", "--after", "1", "--kind", "usage", "--json").document == []
    counted = own_shell("events", "count", "topics", "--after", "1", "--json").document
    assert (counted["counts"], counted["last"]) == ({"feedback": 1}, 2)
    wrong = own_shell("events", "list", "topics", "--since", "yesterday")
    assert (wrong.code, "--since yesterday: no ISO 8601 time" in wrong.err) == (2, True)
