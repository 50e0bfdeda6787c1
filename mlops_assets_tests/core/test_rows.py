import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.rows import LONGEST_LINE, Broken, Cells, csv_rows, file_names, json_rows, parsed, text_rows

KNOWN = ("path", "label", "Stars")


def read(folder: Path, name: str, content: bytes) -> list[Cells | Broken]:
    (folder / name).write_bytes(content)
    return list(text_rows(folder / name, KNOWN, ("path", "label")))


def test_a_broken_line_costs_itself_alone(tmp_path: Path) -> None:
    long = b"x" * (LONGEST_LINE * 3)
    rows = read(tmp_path, "rows.csv", b'path,label\na.png,"ripe\n' + long + b"\nb.png,\xff\nc.png\n\nd.png,unripe\n")
    assert [(row.kind, row.where) for row in rows if isinstance(row, Broken)] == [
        ("row", "line 2"),
        ("long", "line 3"),
        ("row", "line 4"),
        ("row", "line 5"),
    ]
    assert rows[-1] == Cells("line 7", {"path": "d.png", "label": "unripe"})


def test_columns_are_told_whatever_their_case_and_others_are_named(tmp_path: Path) -> None:
    rows = read(tmp_path, "rows.csv", b"\xef\xbb\xbfPATH, Label ,STARS,colour\na,b,5,red\n")
    assert rows == [Broken("column", "line 1", "colour"), Cells("line 2", {"path": "a", "label": "b", "Stars": "5"})]


def test_a_header_that_does_not_do_ends_the_file(tmp_path: Path) -> None:
    for header, said in ((b"path,path,label", "twice"), (b"path,text", "no column label"), (b"\xff", "UTF-8")):
        (row,) = read(tmp_path, "rows.csv", header + b"\na,b,c\n")
        assert isinstance(row, Broken)
        assert row.kind == "header"
        assert said in row.detail


def test_json_lines_are_objects_of_texts_with_each_key_once(tmp_path: Path) -> None:
    lines = ['["a"]', '{"path": "a"}', '{"path": "a", "path": "b", "label": "c"}', '{"path": 1, "label": "c"}']
    lines += ['{"path": NaN, "label": "c"}', "[" * 9000, '{"path": "\\ud800", "label": "c"}']
    rows = read(tmp_path, "rows.jsonl", "\n".join([*lines, '{"path": "a", "label": null}']).encode())
    assert [row.kind for row in rows if isinstance(row, Broken)] == ["row"] * len(lines)
    assert rows[-1] == Cells(f"line {len(lines) + 1}", {"path": "a"})


def test_what_file_managers_leave_behind_is_no_file_of_a_batch(tmp_path: Path) -> None:
    for name in ("__MACOSX/._a.png", ".DS_Store", "b/a.png", "b/._a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    assert file_names(tmp_path) == ["b/a.png"]


@given(st.binary(max_size=400), st.sampled_from(["rows.csv", "rows.jsonl"]))
def test_any_bytes_give_rows_or_reasons(tmp_path_factory, content: bytes, name: str) -> None:
    for row in read(tmp_path_factory.mktemp("any"), name, content):
        assert isinstance(row, Broken) or all(isinstance(value, str) for value in row.values.values())


@given(st.lists(st.dictionaries(st.sampled_from(KNOWN), st.text(max_size=9), max_size=3), max_size=5))
def test_json_lines_come_back_as_they_were_written(tmp_path_factory, rows: list[dict[str, str]]) -> None:
    path = tmp_path_factory.mktemp("json") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = [row for row in json_rows(path, KNOWN) if isinstance(row, Cells)]
    clean = [row for row in rows if all(not any("\ud800" <= c <= "\udfff" for c in each) for each in row.values())]
    assert [row.values for row in found] == clean


def test_a_csv_without_required_columns_needs_a_known_one(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("colour\nred\n")
    (row,) = csv_rows(tmp_path / "rows.csv", KNOWN)
    assert isinstance(row, Broken)
    assert row.kind == "header"


def test_a_number_beyond_a_floats_range_is_no_number() -> None:
    assert parsed('{"a": -1.5e300}') == {"a": -1.5e300}
    for number in ("1e400", "-1e400"):
        with pytest.raises(ValueError, match="beyond a float's range"):
            parsed(f"[{number}]")
