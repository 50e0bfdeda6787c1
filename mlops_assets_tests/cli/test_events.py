import json
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


def test_what_strangers_wrote_is_shown_and_never_obeyed_by_the_terminal(own_shell: Shell, tmp_path: Path) -> None:
    """ESC and CSI move the cursor, clear the screen or retitle the window; U+202E shows text backwards."""
    wicked = "\x9b2Jann\u202egnp.exe"
    file = tmp_path / "wicked.jsonl"
    events = [{"rating": 5, "user": wicked}, {"rating": 5, "\x1b]0;owned\x07\x1b[2J": 1}]
    file.write_text("\n".join(map(json.dumps, events)))
    told = own_shell("events", "add", "topics", str(file), "--kind", "feedback")
    listed = own_shell("events", "list", "topics")
    failed = own_shell("show", "topics", "\x1b[2J")
    for text in (told.out, told.err, listed.out, listed.err, failed.err):
        assert all(each.isprintable() or each == "\n" for each in text), repr(text)
    assert "ann" in listed.out
    assert "[2J" in failed.err
    document = own_shell("events", "list", "topics", "--json")
    assert not set(document.out) & set("\x1b\x9b\u202e")
    assert document.document[0]["event"]["user"] == wicked
