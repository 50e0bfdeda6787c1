"""Every hostile archive is built for real, unpacked in a folder of its own, and what lies around it is looked at."""

import io
import os
import resource
import shutil
import struct
import time
import tracemalloc
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.lifecycle.intake.archive import Unpacked, unpack
from mlops_assets.lifecycle.intake.archive_rules import RULES, ArchiveLimits, name_problem
from mlops_assets_tests.lifecycle.hostile import (
    DEFLATED,
    DEVICE,
    FOLDER,
    LZMA,
    SYMLINK,
    ZSTANDARD,
    Entry,
    codes,
    pack,
    tree,
    write_zip,
    zip_bytes,
)

GOOD = Entry(b"good.txt", b"good")
ZEROS = bytes(1 << 20)


def judge(tmp_path: Path, data: bytes, limits: ArchiveLimits | None = None) -> Unpacked:
    """Unpack `data` in tmp_path/inner/out; whatever it was, nothing else in tmp_path may have changed."""
    source = tmp_path / "inner" / "batch.zip"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(data)
    out = tmp_path / "inner" / "out"
    if out.exists():
        shutil.rmtree(out)
    before = tree(tmp_path)
    found = unpack(source, out, filename="batch.zip", limits=limits)
    assert {name for name in tree(tmp_path) - before if not name.startswith("inner/out")} == set()
    assert not found.refused or not any(out.iterdir())
    assert not any(path.is_symlink() for path in out.rglob("*"))
    return found


HOSTILE: dict[str, tuple[str, list[Entry]]] = {
    "parent": ("ARC006", [Entry(b"../evil.txt", b"x")]),
    "parent inside": ("ARC006", [Entry(b"a/../../evil.txt", b"x")]),
    "absolute": ("ARC006", [Entry(b"/tmp/evil.txt", b"x")]),
    "home": ("ARC006", [Entry(b"~/evil.txt", b"x")]),
    "backslash": ("ARC006", [Entry(b"..\\evil.txt", b"x")]),
    "drive": ("ARC006", [Entry(b"C:evil.txt", b"x")]),
    "unc": ("ARC006", [Entry(b"\\\\host\\evil.txt", b"x")]),
    "nul": ("ARC007", [Entry(b"evil.txt\x00.wav", b"x")]),
    "newline": ("ARC007", [Entry(b"evil\n.txt", b"x")]),
    "dot": ("ARC007", [Entry(b"./a.txt", b"x")]),
    "no name": ("ARC007", [Entry(b"", b"x")]),
    "long": ("ARC007", [Entry(b"x" * 256, b"x")]),
    "deep": ("ARC007", [Entry(b"a/" * 40 + b"x", b"x")]),
    "not utf-8": ("ARC001", [Entry(b"\xff\xfe.txt", b"x")]),
    "twice": ("ARC008", [Entry(b"a.txt", b"1"), Entry(b"a.txt", b"2")]),
    "case": ("ARC008", [Entry(b"a.txt", b"1"), Entry(b"A.TXT", b"2")]),
    "sharp s": ("ARC008", [Entry("straße".encode(), b"1"), Entry(b"STRASSE", b"2")]),
    "composition": (
        "ARC008",
        [Entry(unicodedata.normalize(form, "é.txt").encode(), form.encode()) for form in ("NFC", "NFD")],
    ),
    "file and folder": ("ARC008", [Entry(b"a", b"1"), Entry(b"A/b", b"2")]),
    "file and folder entry": ("ARC008", [Entry(b"a", b"1"), Entry(b"a/", mode=FOLDER)]),
    "symlink": ("ARC009", [Entry(b"link", b"/etc/passwd", mode=SYMLINK)]),
    "device": ("ARC009", [Entry(b"null", b"", mode=DEVICE)]),
    "pipe": ("ARC009", [Entry(b"pipe", b"", mode=0o010644)]),
    "hard link": ("ARC009", [Entry(b"link", b"", extra=struct.pack("<HH", 0x0D, 15) + bytes(12) + b"a.t")]),
    "encrypted": ("ARC010", [Entry(b"a.txt", b"x" * 12, flags=0x801)]),
    "strongly encrypted": ("ARC010", [Entry(b"a.txt", b"x", flags=0x841)]),
    "lzma": ("ARC011", [Entry(b"a.txt", b"x", method=LZMA)]),
    "zstandard": ("ARC011", [Entry(b"a.txt", b"x", method=ZSTANDARD)]),
    "patched": ("ARC011", [Entry(b"a.txt", b"x", flags=0x820)]),
    "flat bomb": ("ARC004", [Entry(b"zeros.wav", ZEROS * 8, method=DEFLATED)]),
    "many small bombs": ("ARC004", [Entry(b"%d" % at, ZEROS, method=DEFLATED) for at in range(8)]),
    "10 GB promised": ("ARC003", [Entry(b"a.wav", b"x", method=DEFLATED, size=0xFFFFFFF0)]),
    "other local name": ("ARC013", [Entry(b"a.txt", b"x", local_name=b"../a.t")]),
    "other local flags": ("ARC013", [Entry(b"a.txt", b"x", local_flags=0x801)]),
    "sizes differ": ("ARC013", [Entry(b"a.txt", b"x", size=9)]),
    "offset beyond": ("ARC013", [Entry(b"a.txt", b"x", offset=1 << 30)]),
    "offset in data": ("ARC013", [Entry(b"b.txt", b"123456"), Entry(b"a.txt", b"x", offset=7)]),
    "nested": ("ARC012", [Entry(b"inner.wav", zip_bytes(GOOD))]),
    "gzip": ("ARC012", [Entry(b"inner.wav", b"\x1f\x8b\x08" + bytes(50))]),
    "tar": ("ARC012", [Entry(b"inner.wav", bytes(257) + b"ustar" + bytes(250))]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_hostile_archive_is_refused_whole_with_its_reason(tmp_path: Path, name: str) -> None:
    code, entries = HOSTILE[name]
    found = judge(tmp_path, zip_bytes(GOOD, *entries))
    assert found.refused
    assert code in codes(found)
    assert found.files == 0


def test_three_zips_in_one_another_are_refused(tmp_path: Path) -> None:
    data = zip_bytes(GOOD)
    for level in range(3):
        data = zip_bytes(Entry(b"%d.zip" % level, data, method=DEFLATED))
    assert codes(judge(tmp_path, data)) == {"ARC012"}


def test_entries_that_share_bytes_are_refused(tmp_path: Path) -> None:
    """CVE-2024-0450, in the manner of Fifield's bomb: each entry quotes the headers of the next."""
    kernel = Entry(b"0", os.urandom(1 << 16))
    shared = [Entry(b"0", kernel.data, offset=0) for _ in range(3)]
    assert codes(judge(tmp_path, zip_bytes(kernel, *shared))) == {"ARC008"}
    inner = b"PK\x03\x04" + kernel.header(local=True)[0] + b"0" + kernel.data
    outer = Entry(b"1", inner)
    assert codes(judge(tmp_path, zip_bytes(outer, Entry(b"0", kernel.data, offset=31)))) == {"ARC005"}


def test_data_that_reach_into_the_directory_are_refused(tmp_path: Path) -> None:
    data = bytearray(zip_bytes(Entry(b"a", b"12345678", method=DEFLATED, packed=b"12345678")))
    for at in (18, data.index(b"PK\x01\x02") + 20):
        struct.pack_into("<I", data, at, 60)
    assert codes(judge(tmp_path, bytes(data))) == {"ARC005"}


def test_a_million_empty_entries_are_refused_in_a_moment_with_little_memory(tmp_path: Path) -> None:
    fields = Entry(b"0000000").header(local=False)[0]
    directory = b"".join(
        b"PK\x01\x02\x14\x03" + fields + struct.pack("<HHHII", 0, 0, 0, 0o100644 << 16, 0) + b"%07d" % at
        for at in range(1_000_000)
    )
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, len(directory), 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(directory), 1)
    for number in (0xFFFF, 7):
        sixty_four = end64 + locator if number == 0xFFFF else b""
        end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, number, number, len(directory), 0, 0)
        source = tmp_path / f"{number}.zip"
        source.write_bytes(b"PK\x03\x04" + bytes(26) + directory + sixty_four + end)
        tracemalloc.start()
        started = time.process_time()
        found = unpack(source, tmp_path / f"out{number}")
        assert codes(found) == {"ARC002"}
        assert time.process_time() - started < 2
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()


def test_a_directory_that_lies_about_its_length_is_refused(tmp_path: Path) -> None:
    whole = zip_bytes(GOOD, Entry(b"b.txt", b"b"))
    for cut in range(1, len(whole) - 4):
        assert codes(judge(tmp_path, whole[:-cut])) <= {"ARC001", "ARC013"}, cut
    for value in (0, 5, 10_000, 0xFFFFFFFF):
        data = bytearray(whole)
        struct.pack_into("<I", data, len(data) - 10, value)
        assert codes(judge(tmp_path, bytes(data))) <= {"ARC001", "ARC002"}


def test_a_damaged_entry_costs_itself_alone(tmp_path: Path) -> None:
    noise = os.urandom(3000)
    entries = [
        GOOD,
        Entry(b"crc.txt", b"data", crc=1),
        Entry(b"short.txt", noise, method=DEFLATED, packed=pack(noise)[:-500]),
        Entry(b"garbage.txt", noise, method=DEFLATED, packed=b"\xff" * 2500),
        Entry(b"liar.txt", noise, method=DEFLATED, size=100),
    ]
    found = judge(tmp_path, zip_bytes(*entries))
    assert codes(found) == {"ARC020"}
    assert {each.item for each in found.findings} == {"crc.txt", "short.txt", "garbage.txt", "liar.txt"}
    assert tree(tmp_path / "inner" / "out") == {"good.txt"}
    assert not found.refused


def test_bytes_are_counted_while_they_are_inflated(tmp_path: Path) -> None:
    data = zip_bytes(*(Entry(b"%d" % at, os.urandom(5000)) for at in range(4)))
    assert codes(judge(tmp_path, data, ArchiveLimits(max_bytes=10_000))) == {"ARC003"}
    assert codes(judge(tmp_path, data, ArchiveLimits(max_entries=3))) == {"ARC002"}


def test_large_entries_pass_with_flat_memory(tmp_path: Path) -> None:
    block = os.urandom(1 << 20)
    source = tmp_path / "large.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for at in range(3):
            with archive.open(f"{at}.bin", "w") as file:
                for _ in range(16):
                    file.write(block)
    tracemalloc.start()
    found = unpack(source, tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.files, found.size_bytes, found.findings) == (3, 48 << 20, ())
    assert peak < 8 << 20


def test_utf8_names_are_read_though_the_tool_did_not_say_so(tmp_path: Path) -> None:
    judge(tmp_path, zip_bytes(Entry("grüße.txt".encode(), b"x", flags=0)))
    assert tree(tmp_path / "inner" / "out") == {"grüße.txt"}


def test_an_empty_zip_is_an_empty_batch(tmp_path: Path) -> None:
    assert judge(tmp_path, zip_bytes()) == Unpacked(files=0, size_bytes=0, findings=())


def test_a_zip_whose_directory_is_gone_is_refused_and_not_taken_for_a_file(tmp_path: Path) -> None:
    whole = zip_bytes(GOOD)
    assert codes(judge(tmp_path, whole[: whole.index(b"PK\x01\x02")])) == {"ARC001"}


def test_all_codes_are_reachable(tmp_path: Path) -> None:
    reached = {code for code, _ in HOSTILE.values()} | {"ARC002", "ARC005", "ARC020"}
    assert reached == set(RULES)


@given(st.text(max_size=30))
def test_a_name_without_a_problem_stays_inside(name: str) -> None:
    if name_problem(name, ArchiveLimits()) is None:
        assert os.path.normpath(name) == name.rstrip("/")
        assert not name.startswith(("/", ".."))


VICTIM = zip_bytes(
    Entry(b"a.txt", b"hello " * 50, method=DEFLATED),
    Entry(b"folder/", mode=FOLDER),
    Entry(b"folder/b.txt", bytes(range(64)), extra=struct.pack("<HHI", 0x5455, 4, 1)),
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(VICTIM) - 1), st.integers(0, 255)), max_size=12), st.integers(0, 40))
def test_no_mutation_of_a_zip_escapes_or_crashes(tmp_path: Path, edits: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(VICTIM)
    for at, value in edits:
        data[at] = value
    found = judge(tmp_path, bytes(data[: len(data) - cut]))
    assert codes(found) <= set(RULES)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=60))
def test_no_bytes_between_the_marks_of_a_zip_escape_or_crash(tmp_path: Path, body: bytes, end: bytes) -> None:
    judge(tmp_path, b"PK\x03\x04" + body + b"PK\x01\x02" + end + b"PK\x05\x06" + end)


def test_what_is_read_is_what_zipfile_reads(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for at in range(50):
            archive.writestr(f"{at % 7}/{at}.txt", os.urandom(at * 37))
    judge(tmp_path, stream.getvalue())
    with zipfile.ZipFile(stream) as archive:
        for name in archive.namelist():
            assert (tmp_path / "inner" / "out" / name).read_bytes() == archive.read(name)


def test_two_gigabytes_promised_by_a_bomb_cost_no_time(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "bomb.zip", Entry(b"a.wav", ZEROS * 64, method=DEFLATED))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    assert codes(unpack(source, tmp_path / "out")) == {"ARC004"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 1
