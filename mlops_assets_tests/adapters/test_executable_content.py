import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import pickletools
import random
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.adapters.executable_content import executable_bytes, executable_content


class Attack:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("echo pwned",)


def archive(names: list[str], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name in names:
            file.writestr(name, b"x" * 100)
    return buffer.getvalue()


def joblib_dump(compress: int) -> bytes:
    joblib = pytest.importorskip("joblib")
    buffer = io.BytesIO()
    joblib.dump({"w": np.arange(50_000.0)}, buffer, compress=compress)
    return buffer.getvalue()


ATTACK = pickle.dumps(Attack())
REFUSED = {
    **{f"attack, protocol {protocol}": pickle.dumps(Attack(), protocol) for protocol in range(6)},
    **{f"data, protocol {protocol}": pickle.dumps({"a": [1, 2]}, protocol) for protocol in (0, 2, 3, 4, 5)},
    "a long pickle": pickle.dumps([os.urandom(1 << 20), 1]),
    "a long text pickle": pickle.dumps([Attack(), "x" * (1 << 20)], 0),
    "without a frame": pickletools.optimize(ATTACK),
    "code by hand": b"cos\nsystem\n(S'id'\ntR.",
    "gzip": gzip.compress(ATTACK),
    "zlib": zlib.compress(ATTACK),
    "bz2": bz2.compress(ATTACK),
    "xz": lzma.compress(ATTACK),
    "twice": gzip.compress(bz2.compress(ATTACK)),
    "torch": archive(["model/data.pkl", "model/data/0", "model/version"]),
    "torch, deflated": archive(["model/data.pkl"], zipfile.ZIP_DEFLATED),
    "torch behind a picture": b"\x89PNG\r\n\x1a\n" + os.urandom(5000) + archive(["model/data.pkl"]),
    "keras": archive(["config.json", "metadata.json", "model.weights.h5"]),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(2000),
    "hdf5 behind a user block": bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(2000),
}


def objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}, None], dtype=object), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize("data", [*REFUSED.values(), objects()], ids=[*REFUSED, "numpy objects"])
def test_what_runs_code_is_recognised(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    assert executable_content(path) is not None
    assert executable_bytes(data) == executable_content(path)


@pytest.mark.parametrize("compress", [0, 3])
def test_joblib_is_recognised(compress: int) -> None:
    assert executable_bytes(joblib_dump(compress)) is not None


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(10.0))
    return buffer.getvalue()


PASSING = {
    "nothing": b"",
    "wav": b"RIFF\x24\x7d\x00\x00WAVEfmt \x10" + random.Random(1).randbytes(1 << 17),
    "flac": b"fLaC\x00\x00\x00\x22" + random.Random(2).randbytes(1 << 17),
    "ogg": b"OggS\x00\x02" + random.Random(3).randbytes(1 << 17),
    "png": b"\x89PNG\r\n\x1a\n" + random.Random(4).randbytes(1000),
    "tflite": b"\x1c\x00\x00\x00TFL3" + bytes(1000),
    "batch": archive(["a.wav", "manifest.csv", "a.txt"], zipfile.ZIP_DEFLATED),
    "a pickle's name in a text": b"we saw data.pkl and model.h5 PK\x05\x06",
    "gzip": gzip.compress(b"some text\n" * 100_000),
    "array": array(),
    "manifest": b"path,transcript\na.wav,hello\n" * 10_000,
    "transcripts": b"can you\nhear me\n.\n",
    "number": b"12.",
    "letter": b"a.",
}


@pytest.mark.parametrize("data", PASSING.values(), ids=PASSING)
def test_what_the_platform_uses_passes(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(data)
    assert executable_content(path) is executable_bytes(data) is None


@pytest.mark.parametrize("header_bytes", [0x0280, 0x0380, 0x0480, 0x0580, 0x10480])
def test_safetensors_whose_length_looks_like_a_protocol_passes(header_bytes: int) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode().ljust(header_bytes)
    assert executable_bytes(len(header).to_bytes(8, "little") + header + bytes(16)) is None


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary(), lambda inner: st.lists(inner, min_size=1)))
def test_every_pickle_with_a_header_is_recognised(value: object) -> None:
    for protocol in (2, 3, 4, 5):
        assert executable_bytes(pickle.dumps(value, protocol)) is not None


@given(st.text())
def test_json_passes(text: str) -> None:
    assert executable_bytes(json.dumps({"text": text}).encode()) is None
