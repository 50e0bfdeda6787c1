"""What a batch of messages may be: files with real faults, written by the test."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.core.dataset import read_items
from mlops_assets.core.family import Checked
from mlops_assets.core.records.data import Item
from mlops_assets.families.text import FAMILY
from mlops_assets.families.text.config import Config

LABELS = ("deliver", "refund", "greet")
GOOD = "message,category\nwhere is my parcel,deliver\nI want my money back,refund\nhello to all of you,greet\n"


def checked(
    folder: Path, content: bytes | str, name: str = "batch.csv", **config: object
) -> tuple[Checked, list[Item]]:
    batch = folder / "batch"
    batch.mkdir(exist_ok=True)
    (batch / name).write_bytes(content.encode() if isinstance(content, str) else content)
    found = FAMILY.check(batch, folder / "data", Config.model_validate({"labels": LABELS, **config}), lambda _: None)
    return found, read_items(folder / "data")


def codes(found: Checked) -> list[str]:
    return [each.code for each in found.findings]


def test_reads_the_three_formats_alike(tmp_path: Path) -> None:
    rows = [dict(zip(("message", "category"), line.rsplit(",", 1), strict=True)) for line in GOOD.splitlines()[1:]]
    whole: list[list[Item]] = []
    for name, content in (
        ("a.csv", GOOD.encode()),
        ("b.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode()),
        ("c.tsv", GOOD.replace(",", "\t").encode()),
        ("d.csv", b"\xef\xbb\xbf" + GOOD.replace(",", ";").replace("\n", "\r\n").encode()),
    ):
        (tmp_path / name).mkdir()
        whole.append(checked(tmp_path / name, content, name)[1])
    (tmp_path / "batch").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "batch" / "e.parquet")
    FAMILY.check(tmp_path / "batch", tmp_path / "data", Config(labels=LABELS), lambda _: None)
    whole.append(read_items(tmp_path / "data"))
    assert len(whole[0]) == 3
    assert all(items == whole[0] for items in whole)
    assert whole[0][0].slices == ("label:deliver", "length:short", "language:en")


@pytest.mark.parametrize(
    ("row", "code", "says"),
    [
        ('"",deliver', "TXT010", ""),
        ("x,deliver", "TXT011", "x"),
        ("fine words here,", "TXT013", ""),
        ("fine words here,delivery", "TXT014", "did you mean 'deliver'"),
        ("fine\x00 words here,deliver", "TXT005", ""),
        ("fine \u202ewords here,deliver", "TXT005", ""),
        ("=HYPERLINK(evil),deliver", "TXT024", "HYPERLINK"),
        ("hello to all of you,greet", "TXT020", "row 3"),
        ("Hello -- to ALL of you!,greet", "TXT020", "row 3"),
        ("one,two,three", "TXT003", "3 fields, 2 columns"),
        ('"open quote,deliver', "TXT003", "quote"),
        ("y" * 5001 + ",deliver", "TXT012", ""),
        ("z" * 300_000 + ",deliver", "TXT012", "a line of"),
    ],
)
def test_a_bad_row_costs_itself(tmp_path: Path, row: str, code: str, says: str) -> None:
    found, items = checked(tmp_path, GOOD + row + "\nlast words of all,greet\n")
    assert [(each.code, each.item) for each in found.findings] == [(code, "batch.csv row 4")]
    assert says in found.findings[0].detail
    assert (found.total, found.kept, len(items)) == (5, 4, 4)
    assert found.quality_score == 8.0


@pytest.mark.parametrize("text", ["=)", "- yes, please do", "@anna are you there", "+1 for that"])
def test_signs_people_write_are_no_formulas(tmp_path: Path, text: str) -> None:
    assert checked(tmp_path, f'message,category\n"{text}",greet\n')[0].kept == 1


def test_bytes_of_another_encoding_cost_their_row(tmp_path: Path) -> None:
    found, items = checked(tmp_path, GOOD.encode() + b"caf\xe9 is closed,refund\n" + "café is open,refund\n".encode())
    assert codes(found) == ["TXT004"]
    assert items[-1].value == "café is open"


def test_quoted_values_may_hold_lines_and_quotes(tmp_path: Path) -> None:
    found, items = checked(tmp_path, 'message,category\n"one\ntwo ""three""",greet\nfour five,refund\n')
    assert [item.value for item in items] == ['one\ntwo "three"', "four five"]
    assert codes(found) == []


@pytest.mark.parametrize(
    ("content", "name", "code", "says"),
    [
        ("text,label\nhello there,greet\n", "a.csv", "TXT002", "no column message, no column category"),
        ("message,message,category\na b,c d,greet\n", "a.csv", "TXT002", "column message twice"),
        (GOOD.encode("utf-16"), "a.csv", "TXT006", "UTF-16"),
        (b"PK\x03\x04rest of a zip", "a.csv", "TXT006", "binary"),
        (b"", "a.csv", "TXT006", "empty"),
        (b"PAR1 nonsense", "a.parquet", "TXT006", ""),
        (b"whatever", "a.docx", "TXT001", "docx"),
    ],
)
def test_a_file_that_is_no_table_stops_the_batch(
    tmp_path: Path, content: bytes | str, name: str, code: str, says: str
) -> None:
    found, items = checked(tmp_path, content, name)
    assert code in codes(found)
    assert says in next(each.detail for each in found.findings if each.code == code)
    assert any(each.severity == "quarantine" for each in found.findings)
    assert items == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("not json", "TXT003"),
        ("[1, 2]", "TXT003"),
        ('{"message": "a b"}', "TXT003"),
        ('{"message": {"a": 1}, "category": "greet"}', "TXT003"),
        ('{"message": "a", "message": "b", "category": "greet"}', "TXT003"),
        ('{"message": "half \\ud800", "category": "greet"}', "TXT004"),
        ('{"message": NaN, "category": "greet"}', "TXT003"),
        ('{"message": 1e999, "category": "greet"}', "TXT003"),
        ("[" * 100_000, "TXT003"),
    ],
)
def test_a_bad_json_line_costs_itself(tmp_path: Path, line: str, code: str) -> None:
    found, items = checked(tmp_path, f'{line}\n{{"message": "good day", "category": "greet"}}\n', "a.jsonl")
    assert codes(found)[0] == code
    assert len(items) == 1


def test_same_words_with_other_labels_are_dropped_on_both_sides(tmp_path: Path) -> None:
    rows = "i am late,deliver\nI am late!,refund\ni  am late,deliver\nanother one,greet\n"
    found, items = checked(tmp_path, "message,category\n" + rows)
    assert codes(found) == ["TXT021"] * 3 + ["TXT037"]
    assert [item.value for item in items] == ["another one"]


def test_nearly_the_same_is_flagged_or_dropped_and_spared_where_the_label_differs(tmp_path: Path) -> None:
    text = "my parcel from the shop in town has not come since last monday"
    rows = f"message,category\n{text},deliver\n{text} evening,deliver\nhonestly {text},refund\n"
    found, items = checked(tmp_path, rows)
    assert codes(found) == ["TXT039"]
    assert len(items) == 3
    found, items = checked(tmp_path, rows, near_duplicates="drop")
    assert codes(found) == ["TXT022"]
    assert len(items) == 2


def test_labels_in_other_capitals_are_understood_and_flagged(tmp_path: Path) -> None:
    found, items = checked(tmp_path, "message,category\nhello you there,Greet\nmoney back now,refund\n")
    assert codes(found) == ["TXT031"]
    assert items[0].target == "greet"


@pytest.mark.parametrize("cell", ["1.4", "-0.1", "nan", "inf", "high", "0x1"])
def test_a_confidence_is_a_number_up_to_one(tmp_path: Path, cell: str) -> None:
    rows = f"message,category,confidence\ngood morning,greet,0.9\ngood evening,greet,{cell}\ngood night,greet,\n"
    found, items = checked(tmp_path, rows)
    assert [each for each in codes(found) if each != "TXT037"] == ["TXT015"]
    assert [item.attributes for item in items] == [{"score:confidence": 0.9}, {}]


def test_doubtful_labels_are_flagged_or_dropped(tmp_path: Path) -> None:
    rows = "message,category,confidence\ngood morning,greet,0.9\nmoney please,refund,0.3\n"
    assert codes(checked(tmp_path, rows)[0]) == ["TXT030"]
    assert codes(checked(tmp_path, rows, doubtful_labels="drop")[0]) == ["TXT016", "TXT037"]


@pytest.mark.parametrize(
    "text",
    ["write to anna.b@example.org please", "call me at +34 600 123 456 today", "my card is 4111 1111 1111 1111 ok"],
)
def test_personal_data_is_seen(tmp_path: Path, text: str) -> None:
    rows = f"message,category\n{text},refund\ngood morning,greet\n"
    assert codes(checked(tmp_path, rows)[0]) == ["TXT032"]
    assert codes(checked(tmp_path, rows, personal_data="drop")[0]) == ["TXT023", "TXT037"]


def test_letters_damaged_by_encodings_are_flagged(tmp_path: Path) -> None:
    found, _ = checked(tmp_path, "message,category\nel cafÃ© estÃ¡ cerrado,refund\nel café está abierto,greet\n")
    assert [(each.code, each.item) for each in found.findings] == [("TXT033", "batch.csv row 1")]


def test_columns_of_origin_language_user_and_source(tmp_path: Path) -> None:
    rows = (
        "message,category,user,language,origin,source,extra\n"
        "good morning,greet,Ana Lu,en-GB,synthetic,shop chat,1\n"
        "buenos dias a todos,greet,,es,real,,2\n"
        "money back now,refund,b,1234,real,,3\n"
        "money back soon,refund,b,en,invented,,4\n"
    )
    found, items = checked(tmp_path, rows, languages=("en",))
    assert codes(found) == ["TXT035", "TXT034", "TXT018", "TXT017", "TXT037"]
    assert items[0].slices == ("label:greet", "length:short", "language:en", "source:shop_chat")
    assert (items[0].cluster, items[0].origin, items[1].cluster) == ("ana_lu", "synthetic", items[1].id)
    assert found.origin == "mixed"


def test_binary_labels_and_scores(tmp_path: Path) -> None:
    rows = (
        "message,is_worthy,score\nI moved to Oslo,True,0.9\nok then,0,0.1\nmy son was born,yes,0.2\nhm hm,maybe,0.5\n"
    )
    found, items = checked(tmp_path, rows, task="binary", labels=("false", "true"))
    assert [item.target for item in items] == ["true", "false", "true"]
    assert codes(found) == ["TXT038", "TXT014"]
    assert items[0].attributes == {"score:score": 0.9}


def test_dimensions_as_columns_or_as_a_list(tmp_path: Path) -> None:
    config = {"task": "multi_label", "labels": ("joy", "trust"), "thresholds": {"trust": 0.7}}
    rows = "message,joy,trust\nwhat a day,0.9,0.8\nquite fine,0.6,0.6\nso it goes,0,0\nbroken one,2,0\nhalf said,0.5,\n"
    found, items = checked(tmp_path, rows, **config)
    assert [item.target for item in items] == ["joy;trust", "joy", "none"]
    assert codes(found) == ["TXT015", "TXT013"]
    assert found.labels == {"joy": 2, "trust": 1}
    lines = '{"message":"what a day","feelings":["trust","joy"]}\n{"message":"so it goes","feelings":"none"}\n'
    found, items = checked(tmp_path / "batch", lines, "a.jsonl", **config, label_column="feelings")
    assert [item.target for item in items] == ["joy;trust", "none"]


def test_a_small_parquet_file_does_not_unfold_to_gigabytes(tmp_path: Path) -> None:
    (tmp_path / "batch").mkdir()
    rows = 10_000
    huge = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 250_000]))
    pq.write_table(pa.table({"message": huge, "category": ["greet"] * rows}), tmp_path / "batch" / "a.parquet")
    before = pa.total_allocated_bytes()
    pa.default_memory_pool().release_unused()
    found = FAMILY.check(tmp_path / "batch", tmp_path / "data", Config(labels=LABELS), lambda _: None)
    assert pa.default_memory_pool().max_memory() - before < 500_000_000
    assert {each.code for each in found.findings} == {"TXT012"}
    assert (found.total, found.kept) == (rows, 0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)),
    kind=st.sampled_from(["csv", "jsonl", "parquet"]),
)
def test_any_bytes_give_findings_and_no_crash(tmp_path: Path, content: bytes, kind: str) -> None:
    for file in (tmp_path / "batch").glob("*"):
        file.unlink()
    found, items = checked(tmp_path, b"message,category\ngood day,greet\n" * (kind == "csv") + content, f"a.{kind}")
    assert found.kept == len(items) <= found.total
    assert set(codes(found)) <= set(FAMILY.findings)
    assert 0 <= found.quality_score <= 10


def test_checking_imports_no_framework(tmp_path: Path) -> None:
    checked(tmp_path, GOOD)
    code = (
        "import sys; from pathlib import Path; from mlops_assets.families.text import FAMILY; "
        f"c = FAMILY.Config(labels={LABELS!r}); FAMILY.check(Path({str(tmp_path / 'batch')!r}), "
        f"Path({str(tmp_path / 'again')!r}), c, print); "
        "print({'torch', 'transformers', 'sklearn'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "set()"
