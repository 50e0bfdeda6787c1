import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.core.dataset import read_items
from mlops_assets.core.errors import ConfigError
from mlops_assets.core.line import Limits, Line
from mlops_assets.core.policy import DataGates
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import Finding, ValidatedData
from mlops_assets.lifecycle.intake.ingest import ingest
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets.lifecycle.progress import progress_file
from mlops_assets_tests.lifecycle.hostile import DEFLATED, SYMLINK, Entry, write_zip
from mlops_assets_tests.lines import (
    BATCHES,
    GOLDEN_ITEMS,
    baseline_line,
    broken_batch,
    good_batch,
    leaky_batch,
    small_batch,
    texts,
    write_rows,
)
from mlops_assets_tests.platform_fixture import make_platform

VALIDATE = """
import sys
from pathlib import Path
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets_tests.lines import baseline_line
from mlops_assets_tests.platform_fixture import InProcess, make_platform
tmp_path = Path(sys.argv[1])
validate(make_platform(tmp_path, compute=InProcess()), baseline_line(tmp_path), sys.argv[2])
"""


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return baseline_line(tmp_path)


def submitted(platform: Platform, line: Line, upload: Path) -> str:
    return ingest(platform, line, upload, contributor="ann", source="cli")[0].batch_id


def validated(platform: Platform, line: Line, upload: Path) -> ValidatedData:
    return validate(platform, line, submitted(platform, line, upload))


def findings(platform: Platform, record: ValidatedData) -> list[Finding]:
    lines = platform.store.read_bytes(record.findings).decode().splitlines()
    return [Finding.parse(each) for each in lines]


def codes(record: ValidatedData) -> list[str]:
    return [reason.code for reason in record.reasons]


def test_a_good_batch_is_accepted_with_its_dataset(platform: Platform, line: Line, tmp_path: Path) -> None:
    record = validated(platform, line, good_batch(tmp_path / "good"))
    assert record.accepted
    assert (record.total, record.kept, record.dropped, record.reasons) == (120, 120, {}, ())
    assert record.quality_score == 10
    assert record.origin == "synthetic"
    assert len(read_items(platform.store.folder(record.dataset))) == 120
    assert platform.records.get(line.line, record.batch_id, "validated_data") == record
    assert progress_file(platform, line.line, record.batch_id).read_text().count("\n") == 1


def test_zip_folder_and_file_give_the_same_dataset(platform: Platform, line: Line, tmp_path: Path) -> None:
    folder = good_batch(tmp_path / "good")
    archive = Path(shutil.make_archive(str(tmp_path / "batch"), "zip", folder))
    wrapped = Path(shutil.make_archive(str(tmp_path / "wrapped"), "zip", tmp_path, "good"))
    uploads = (folder, archive, wrapped, folder / "texts.jsonl")
    assert len({validated(platform, line, upload).dataset for upload in uploads}) == 1


def test_validating_again_gives_the_stored_record(platform: Platform, line: Line, tmp_path: Path) -> None:
    record = validated(platform, line, good_batch(tmp_path / "good"))
    progress = progress_file(platform, line.line, record.batch_id)
    progress.unlink()
    assert validate(platform, line, record.batch_id) == record
    assert not progress.exists()
    assert len(platform.ledger.entries(line.line, "validated")) == 1


def test_other_rules_make_another_record(platform: Platform, line: Line, tmp_path: Path) -> None:
    record = validated(platform, line, good_batch(tmp_path / "good"))
    stricter = line.policy.model_copy(update={"data": DataGates(min_items=500)})
    again = validate(platform, line.model_copy(update={"policy": stricter}), record.batch_id)
    assert (record.accepted, again.accepted) == (True, False)
    assert codes(again) == ["VAL001"]
    assert len(platform.records.history(line.line, record.batch_id, "validated_data")) == 2


def test_every_rule_of_the_policy_stops_a_batch(platform: Platform, line: Line, tmp_path: Path) -> None:
    broken = validated(platform, line, broken_batch(tmp_path / "broken"))
    assert codes(broken) == ["VAL002", "VAL003"]
    assert broken.dropped == {"BAS011": 14}
    assert not broken.accepted
    assert codes(validated(platform, line, small_batch(tmp_path / "three", items=3))) == ["VAL001"]


def test_leaks_are_dropped_and_told_and_the_rest_is_kept(platform: Platform, line: Line, tmp_path: Path) -> None:
    record = validated(platform, line, leaky_batch(tmp_path / "leaky"))
    assert record.accepted
    assert record.dropped == {"VAL010": 4}
    assert (record.total, record.kept) == (124, 120)
    assert len(read_items(platform.store.folder(record.dataset))) == 120
    assert record.quality_score == pytest.approx(10 * 120 / 124, abs=0.01)
    kinds = {found.detail.split(":")[0] for found in findings(platform, record) if found.code == "VAL010"}
    assert kinds == {"exact", "text", "near"}


def test_a_batch_of_golden_items_is_not_accepted(platform: Platform, line: Line, tmp_path: Path) -> None:
    write_rows(tmp_path / "golden.jsonl", texts(101, GOLDEN_ITEMS))
    record = validated(platform, line, tmp_path / "golden.jsonl")
    assert codes(record) == ["VAL001", "VAL002", "VAL003"]
    assert record.kept == 0


@pytest.mark.parametrize(
    ("code", "entry"),
    [
        ("ARC006", Entry(b"../evil.jsonl", b"{}")),
        ("ARC009", Entry(b"link.jsonl", b"/etc/passwd", mode=SYMLINK)),
        ("ARC004", Entry(b"zeros.jsonl", bytes(8 << 20), method=DEFLATED)),
    ],
)
def test_a_hostile_archive_is_a_result_and_the_next_batch_goes_through(
    platform: Platform, line: Line, tmp_path: Path, code: str, entry: Entry
) -> None:
    good = (good_batch(tmp_path / "good") / "texts.jsonl").read_bytes()
    record = validated(platform, line, write_zip(tmp_path / "evil.zip", Entry(b"texts.jsonl", good), entry))
    assert set(codes(record)) == {code}
    assert (record.total, record.kept, record.accepted) == (0, 0, False)
    assert read_items(platform.store.folder(record.dataset)) == []
    assert validated(platform, line, tmp_path / "good").accepted


def test_a_damaged_entry_costs_its_items_alone(platform: Platform, line: Line, tmp_path: Path) -> None:
    good = (good_batch(tmp_path / "good") / "texts.jsonl").read_bytes()
    damaged = Entry(b"more.jsonl", b"{}", crc=1)
    record = validated(platform, line, write_zip(tmp_path / "a.zip", Entry(b"texts.jsonl", good), damaged))
    assert record.accepted
    assert record.dropped == {"ARC020": 1}
    assert (record.total, record.kept) == (121, 120)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 1000, b"text,label\n", b'"', b"text,text,label\na,b,c\n", b'{"text": 1}\n' * 50]
)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".exe"])
def test_nonsense_is_never_an_exception(
    platform: Platform, line: Line, tmp_path: Path, content: bytes, suffix: str
) -> None:
    upload = tmp_path / f"upload{suffix}"
    upload.write_bytes(content)
    record = validated(platform, line, upload)
    assert not record.accepted
    assert record.reasons


def test_bytes_at_random_are_never_an_exception(platform: Platform, line: Line, tmp_path: Path) -> None:
    chance = random.Random(0)
    for at in range(30):
        upload = tmp_path / f"{at}{chance.choice(('.csv', '.jsonl', '.zip'))}"
        upload.write_bytes(
            chance.choice((b"", b"PK\x03\x04", b"text,label\n")) + chance.randbytes(chance.randrange(500))
        )
        assert not validated(platform, line, upload).accepted


def test_an_empty_folder_is_not_accepted(platform: Platform, line: Line, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert codes(validated(platform, line, tmp_path / "empty")) == ["BAS001"]


@pytest.mark.parametrize(
    ("limits", "cause"),
    [(Limits(memory_gb=0.001, minutes=1), "out of memory"), (Limits(minutes=0.0001), "out of time")],
)
def test_a_checking_process_that_dies_stops_the_batch_and_not_the_platform(
    tmp_path: Path, line: Line, limits: Limits, cause: str
) -> None:
    platform = make_platform(tmp_path)
    assert validated(platform, line, good_batch(tmp_path / "good")).accepted
    record = validated(platform, line.model_copy(update={"limits": limits}), good_batch(tmp_path / "second", seed=8))
    assert codes(record) == ["VAL004"]
    assert cause in record.reasons[0].detail
    assert not any((platform.home / "work").rglob("*.jsonl"))
    assert validated(platform, line, good_batch(tmp_path / "third", seed=9)).accepted


@pytest.mark.parametrize("point", ["validate: before record", "validate: after record"])
def test_a_crash_leaves_a_batch_that_validates(platform: Platform, line: Line, tmp_path: Path, point: str) -> None:
    batch_id = submitted(platform, line, good_batch(tmp_path / "good"))
    died = subprocess.run(
        [sys.executable, "-c", VALIDATE, str(tmp_path), batch_id], env={**os.environ, "FAILPOINT": point}
    )
    assert died.returncode == -9
    assert validate(platform, line, batch_id).accepted
    assert len(platform.ledger.entries(line.line, "validated")) == 1
    assert len(platform.records.history(line.line, batch_id, "validated_data")) == 1


def test_a_line_whose_golden_set_is_missing_says_so_before_it_judges_a_batch(
    platform: Platform, line: Line, tmp_path: Path
) -> None:
    batch_id = submitted(platform, line, good_batch(tmp_path / "good"))
    shutil.rmtree(line.golden.path)
    with pytest.raises(ConfigError, match="golden"):
        validate(platform, line, batch_id)
    assert platform.records.get(line.line, batch_id, "validated_data") is None


@pytest.mark.parametrize("name", BATCHES)
def test_nothing_is_left_in_the_work_folder_and_the_ledger_holds(
    platform: Platform, line: Line, tmp_path: Path, name: str
) -> None:
    record = validated(platform, line, BATCHES[name](tmp_path / name))
    assert [path for path in (platform.home / "work").rglob("*") if path.is_file()] == []
    entry = platform.ledger.entries(line.line, "validated")[0]
    assert entry.body["record"] == record.digest
    assert entry.body["accepted"] == record.accepted
    assert platform.ledger.verify() == []
    assert json.loads(record.canonical_json())["rules"]


def with_gates(line: Line, **gates: int) -> Line:
    return line.model_copy(update={"policy": line.policy.model_copy(update={"data": DataGates.model_validate(gates)})})


def test_every_label_without_enough_items_is_named_with_what_is_missing(
    platform: Platform, line: Line, tmp_path: Path
) -> None:
    rows = [row for row in texts(6, 60) if row["label"] != "music"]
    write_rows(tmp_path / "two" / "texts.jsonl", rows)
    record = validated(platform, with_gates(line, min_per_label=10, recommended_per_label=30), tmp_path / "two")
    assert not record.accepted
    assert record.labels == {"music": 0, "sport": 20, "weather": 20}
    assert [(each.code, each.item, each.detail) for each in record.reasons] == [
        ("VAL006", "music", "music: 0 of at least 10")
    ]
    assert record.flagged == {"VAL021": 2}


def test_fewer_items_than_recommended_train_with_a_remark(platform: Platform, line: Line, tmp_path: Path) -> None:
    asked = with_gates(line, min_items=50, recommended_items=500)
    record = validated(platform, asked, good_batch(tmp_path / "good"))
    assert record.accepted
    assert record.flagged == {"VAL020": 1}


def test_leaked_items_do_not_count_for_their_label(platform: Platform, line: Line, tmp_path: Path) -> None:
    record = validated(platform, line, leaky_batch(tmp_path / "leaky"))
    assert record.dropped["VAL010"] > 0
    assert sum(record.labels.values()) == record.kept
