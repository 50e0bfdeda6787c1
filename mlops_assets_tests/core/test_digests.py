"""A digest depends on names and bytes alone."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.digests import canonical_json, sha256_bytes, sha256_file, sha256_folder, tree_digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_canonical_json_does_not_know_the_order_of_keys(document: dict[str, object]):
    backwards = dict(reversed(list(document.items())))
    assert canonical_json(document) == canonical_json(backwards)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [float("-inf")]}])
def test_canonical_json_refuses_what_json_cannot_say(value: object):
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(value)


def test_a_folder_is_its_names_and_bytes(tmp_path: Path):
    for name, order in (("one", ("a", "b/c")), ("two", ("b/c", "a"))):
        for file in order:
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"bytes of {file}")
    os.utime(tmp_path / "two" / "a", (0, 0))
    assert sha256_folder(tmp_path / "one") == sha256_folder(tmp_path / "two")
    expected = {name: sha256_bytes(f"bytes of {name}".encode()) for name in ("a", "b/c")}
    assert sha256_folder(tmp_path / "one") == tree_digest(expected)
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "d")
    assert sha256_folder(tmp_path / "one") != sha256_folder(tmp_path / "two")


def test_a_link_is_not_followed(tmp_path: Path):
    (tmp_path / "batch").mkdir()
    (tmp_path / "secret").write_text("not yours")
    (tmp_path / "batch" / "link").symlink_to(tmp_path / "secret")
    assert sha256_folder(tmp_path / "batch") == tree_digest({})


@given(st.binary(max_size=3_000_000))
def test_a_file_is_read_whole(data: bytes):
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        assert sha256_file(Path(file.name)) == sha256_bytes(data)
