"""What becomes of the pictures of a batch: good ones, poor ones, broken ones and hostile ones."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.core.dataset import read_items
from mlops_assets.core.family import Checked
from mlops_assets.core.records.data import Item
from mlops_assets.families.vision import FAMILY
from mlops_assets.families.vision.findings import FINDINGS
from mlops_assets_tests.families.vision.photographs import LABELS, by_folder, disc, encoded, manifest, put

Image = pytest.importorskip("PIL.Image")
SIZE = 64


def check(folder: Path, **config: object) -> tuple[Checked, list[Item]]:
    out = folder.parent / f"{folder.name}-dataset"
    chosen = FAMILY.Config.model_validate({"labels": LABELS, "size": SIZE, **config})
    checked = FAMILY.check(folder, out, chosen, lambda _: None)
    items = read_items(out)
    assert checked.kept == len(items)
    assert sorted(path.name for path in out.glob("pictures/*")) == sorted({Path(str(item.path)).name for item in items})
    for item in items:
        with Image.open(out / str(item.path)) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (SIZE, SIZE))
    return checked, items


def codes(checked: Checked) -> list[str]:
    assert all(found.title == FINDINGS[found.code] for found in checked.findings)
    return [found.code for found in checked.findings]


def one(folder: Path, data: bytes, name: str = "a.png", label: str = "green") -> Path:
    put(folder, f"{label}/{name}", data)
    return folder


def bomb(width: int, height: int) -> bytes:
    """A PNG of that many pixels in a few kilobytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 1) * min(height, 64)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_folders_name_labels(tmp_path: Path) -> None:
    checked, items = check(by_folder(tmp_path / "batch", range(3)))
    assert (checked.total, checked.kept, checked.findings, checked.quality_score) == (9, 9, (), 10.0)
    assert checked.labels == {"green": 3, "red": 3, "blue": 3}
    assert checked.origin == "real"
    assert {item.target for item in items} == set(LABELS)
    assert all(item.cluster == item.id and item.slices == (f"label:{item.target}",) for item in items)
    assert all(set(item.fingerprints) == {"pixels", "look"} for item in items)


def test_a_zip_may_wrap_everything_in_a_folder_and_use_other_names(tmp_path: Path) -> None:
    one(tmp_path / "batch" / "photos", encoded(disc("green", 1)), label="Verde")
    one(tmp_path / "batch" / "photos", encoded(disc("red", 1)), label="RED")
    _, items = check(tmp_path / "batch", aliases={"verde": "green"})
    assert [item.target for item in items] == ["red", "green"]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_manifests_name_labels_sources_and_light(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "batch"
    rows = []
    for seed, label in enumerate(("green", "red", "blue")):
        put(folder, f"p/{seed}.webp", encoded(disc(label, seed), "WEBP", quality=90))
        rows.append((f"p/{seed}.webp", label, "Tree 7", "Warm", "synthetic", "x"))
    columns = ("path", "label", "source", "light", "origin", "camera")
    if form == "csv":
        manifest(folder, rows, columns)
    else:
        lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
        (folder / "manifest.jsonl").write_text("\n".join(lines))
    checked, items = check(folder)
    assert codes(checked) == ["VIS041"]
    assert checked.origin == "synthetic"
    assert len({item.cluster for item in items}) == 1
    assert {"label:green", "light:warm"} <= set(items[0].slices)
    assert items[0].slices[1].startswith("source:")


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("JPEG", {"quality": 90}), ("WEBP", {"lossless": True})])
def test_accepted_formats(tmp_path: Path, form: str, options: dict[str, object]) -> None:
    checked, items = check(one(tmp_path / "batch", encoded(disc("green", 1, 200), form, **options)))
    assert codes(checked) == []
    assert items[0].attributes["width"] == 200


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("L", ["VIS034"]), ("P", ["VIS036"]), ("CMYK", ["VIS036"]), ("LA", ["VIS034"]), ("I;16", ["VIS036", "VIS034"])],
)
def test_other_colours_are_converted(tmp_path: Path, mode: str, expected: list[str]) -> None:
    picture = disc("green", 1)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    checked, items = check(one(tmp_path / "batch", encoded(picture, "JPEG" if mode == "CMYK" else "PNG")))
    assert codes(checked) == expected
    assert 50 < float(items[0].attributes["brightness"]) < 220


def test_transparency_is_put_on_white(tmp_path: Path) -> None:
    picture = disc("green", 1).convert("RGBA")
    picture.putalpha(Image.fromarray((np.mgrid[:96, :96][1] > 48).astype(np.uint8) * 255))
    folder = one(tmp_path / "batch", encoded(picture))
    checked, items = check(folder)
    assert codes(checked) == ["VIS037"]
    with Image.open(tmp_path / "batch-dataset" / str(items[0].path)) as seen:
        assert seen.getpixel((2, 30)) == (255, 255, 255)


def test_pictures_are_turned_as_their_exif_says(tmp_path: Path) -> None:
    upright = disc("green", 1, 120).resize((160, 120))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    put(tmp_path / "a", "green/a.png", encoded(upright))
    put(tmp_path / "b", "green/a.png", encoded(turned, "PNG", exif=exif.tobytes()))
    (_, (first,)), (_, (second,)) = check(tmp_path / "a"), check(tmp_path / "b")
    assert first.fingerprints == second.fingerprints
    assert (second.attributes["width"], second.attributes["height"]) == (160, 120)


def test_files_that_are_no_usable_picture_are_dropped(tmp_path: Path) -> None:
    jpeg, png = encoded(disc("green", 1), "JPEG", quality=90), encoded(disc("green", 1))
    frames = [disc("green", seed) for seed in (1, 2)]
    cases = {
        "VIS010": [b"this is a letter", b"<svg xmlns='http://www.w3.org/2000/svg'/>", encoded(disc("red", 1), "GIF")],
        "VIS011": [b""],
        "VIS012": [jpeg[: len(jpeg) // 2], png[: len(png) // 2]],
        "VIS013": [bomb(9_000, 9_000), bomb(60_000, 60_000)],
        "VIS014": [encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])],
        "VIS015": [encoded(disc("green", 1, 16)), bomb(1, 65_000)],
        "VIS016": [encoded(disc("green", 1).resize((900, 100)))],
        "VIS017": [encoded(Image.new("RGB", (99, 99), colour)) for colour in ("black", "white", "green")],
    }
    for code, files in cases.items():
        for number, data in enumerate(files):
            checked, items = check(one(tmp_path / f"{code}-{number}", data, "a.jpg"))
            assert codes(checked) == [code]
            assert (checked.total, items, checked.quality_score) == (1, [], 0.0)


def test_poor_pictures_are_kept_with_a_remark_and_a_batch_of_them_falls_below_seven(tmp_path: Path) -> None:
    from PIL import ImageFilter

    sharp = [disc("green", seed, 200) for seed in range(3)]
    cases = {
        "VIS030": [each.filter(ImageFilter.GaussianBlur(6)) for each in sharp],
        "VIS031": [each.point(lambda v: v // 5) for each in sharp],
        "VIS032": [each.point(lambda v: 222 + v // 8) for each in sharp],
    }
    for code, pictures in cases.items():
        folder = tmp_path / code
        for number, picture in enumerate(pictures):
            one(folder, encoded(picture), f"{number}.png")
        checked, items = check(folder)
        assert set(codes(checked)) >= {code}
        assert len(items) == 3
        assert checked.quality_score < 7


def test_pictures_without_the_subjects_colours_are_remarked_on(tmp_path: Path) -> None:
    checked, items = check(by_folder(tmp_path / "batch", range(2)), subject_hues=[[0, 30], [80, 140]])
    assert codes(checked) == ["VIS035", "VIS035"]
    assert {str(found.item).partition("/")[0] for found in checked.findings} == {"blue"}
    assert len(items) == 6


def test_repeated_pictures_are_kept_once_and_contradicted_ones_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    put(folder, "green/1.png", encoded(disc("green", 1)))
    put(folder, "green/2.png", encoded(disc("green", 1)))
    put(folder, "green/3.jpg", encoded(disc("green", 1).resize((150, 150)), "JPEG", quality=80))
    put(folder, "red/4.png", encoded(disc("red", 4)))
    put(folder, "blue/5.webp", encoded(disc("red", 4), "WEBP", quality=80))
    put(folder, "blue/6.png", encoded(disc("blue", 6)))
    checked, items = check(folder)
    assert sorted(codes(checked)) == ["VIS020", "VIS021", "VIS022", "VIS022"]
    assert sorted(str(item.attributes["file"]) for item in items) == ["blue/6.png", "green/1.png"]
    assert checked.total == 6


def test_one_label_alone_is_remarked_on(tmp_path: Path) -> None:
    checked, _ = check(by_folder(tmp_path / "batch", range(3), labels=["red"]))
    assert codes(checked) == ["VIS040"]
    assert checked.labels == {"green": 0, "red": 3, "blue": 0}


def test_labels_and_rows_that_cannot_be_used_are_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    put(folder, "a.png", encoded(disc("green", 1)))
    put(folder, "left.png", encoded(disc("green", 2)))
    put(folder, "notes.txt", b"hello")
    (tmp_path / "secret.png").write_bytes(encoded(disc("green", 3)))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    rows = [
        ("a.png", "plum", ""),
        ("a.png", "", ""),
        ("a.png", "green", "dreamt"),
        ("../secret.png", "green", ""),
        ("/etc/passwd", "green", ""),
        ("link.png", "green", ""),
        ("missing.png", "green", ""),
        ("x" * 300 + ".png", "green", ""),
        ("a.png", "gr\x00een", ""),
    ]
    checked, items = check(manifest(folder, rows, ("path", "label", "origin")))
    expected = ["VIS007", "VIS006", "VIS008", "VIS002", "VIS002", "VIS002", "VIS005", "VIS005", "VIS004"]
    assert codes(checked) == [*expected, "VIS006", "VIS042"]
    assert items == []


@pytest.mark.parametrize(
    "text", ["path,label,path\na,b,c\n", "file,label\na,b\n", "\xff\xfe", '"path\n', "path,label\n" * 0 + "\n"]
)
def test_a_manifest_that_is_none_stops_the_batch(tmp_path: Path, text: str) -> None:
    folder = one(tmp_path / "batch", encoded(disc("green", 1)))
    (folder / "manifest.csv").write_bytes(text.encode("latin-1"))
    checked, _ = check(folder)
    assert codes(checked) == ["VIS001"]
    assert checked.findings[0].severity == "quarantine"


def test_a_broken_row_costs_itself_alone(tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    put(folder, "a.png", encoded(disc("green", 1)))
    lines = [
        "not json",
        "[1]",
        '{"path": 1, "label": "green"}',
        '{"path": "a.png", "label": "green", "n": 1}',
        "x" * 70_000,
    ]
    (folder / "manifest.jsonl").write_text("\n".join(lines))
    checked, items = check(folder)
    assert codes(checked) == ["VIS003", "VIS003", "VIS003", "VIS041", "VIS003"]
    assert len(items) == 1


PNG, JPEG = encoded(disc("green", 1, 64)), encoded(disc("green", 1, 64), "JPEG")
WEBP = encoded(disc("green", 1, 64), "WEBP")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([PNG, JPEG, WEBP]), st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=4)), max_size=6)
)
def test_damage_gives_findings_and_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, damage: list[tuple[int, bytes]]
) -> None:
    content = bytearray(data)
    for position, patch in damage:
        at = position % len(content)
        content[at : at + len(patch)] = patch
    checked, items = check(one(tmp_path_factory.mktemp("damaged") / "batch", bytes(content)))
    assert checked.total == 1
    assert len(items) == 1 or "drop" in {found.severity for found in checked.findings}
