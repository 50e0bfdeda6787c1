"""Honest zips, single files and folders become batches; what lies beside them does not."""

import shutil
import zipfile
from pathlib import Path

import pytest

from mlops_assets.lifecycle.intake.archive import unpack
from mlops_assets_tests.lifecycle.hostile import codes, tree


def test_an_honest_zip_keeps_its_names(tmp_path: Path) -> None:
    names = ["manifest.csv", "audio/a b.wav", "audio/é.wav", "日本/\u3000語.txt", "Screenshot 9.41\u202fAM.txt"]
    source = tmp_path / "batch.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.mkdir("empty")
        for name in names:
            archive.writestr(name, name)
    found = unpack(source, tmp_path / "out")
    assert found.findings == ()
    assert all((tmp_path / "out" / name).read_text() == name for name in names)


@pytest.mark.parametrize(
    ("filename", "kept"),
    [("a b.csv", "a b.csv"), ("../../evil.csv", "evil.csv"), ("..", "batch"), ("x\n.csv", "batch.csv")],
)
def test_a_single_file_is_a_batch_under_a_safe_name(tmp_path: Path, filename: str, kept: str) -> None:
    (tmp_path / "source").write_bytes(b"text,label\n")
    assert unpack(tmp_path / "source", tmp_path / "out", filename=filename).files == 1
    assert tree(tmp_path / "out") == {kept}


def test_other_archives_are_refused(tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "a"), "gztar", tmp_path, ".")
    assert codes(unpack(tmp_path / "a.tar.gz", tmp_path / "out", filename="a.tar.gz")) == {"ARC012"}


def test_a_folder_is_copied_without_its_links(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "a").mkdir(parents=True)
    (source / "a" / "x.txt").write_text("x")
    (source / "link").symlink_to("/etc/passwd")
    (source / "out").symlink_to(tmp_path)
    assert unpack(source, tmp_path / "out").files == 1
    assert tree(tmp_path / "out") == {"a", "a/x.txt"}
    assert (tmp_path / "out" / "a" / "x.txt").stat().st_ino != (source / "a" / "x.txt").stat().st_ino


def test_a_folder_with_names_that_collide_elsewhere_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a.txt", "A.txt"):
        (source / name).write_text(name)
    if len(list(source.iterdir())) == 1:
        pytest.skip("this file system takes the two names for one")
    assert codes(unpack(source, tmp_path / "out")) == {"ARC008"}
