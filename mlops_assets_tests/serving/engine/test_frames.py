"""Frames come out of a stream as they went in, however it is cut."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.serving.engine.frames import LARGEST_FRAME, Frames, packed, read

PARTS = st.lists(st.binary(max_size=40), max_size=5)


@given(st.lists(PARTS, max_size=4), st.integers(1, 50))
def test_frames_come_out_as_they_went_in(sent: list[list[bytes]], piece: int) -> None:
    stream = b"".join(map(packed, sent))
    incoming = Frames()
    got = [frame for at in range(0, len(stream), piece) for frame in incoming.feed(stream[at : at + piece])]
    assert got == sent
    file = io.BytesIO(stream)
    assert [read(file) for _ in sent] == sent
    assert read(file) is None


@given(st.binary(max_size=60))
def test_a_broken_stream_is_no_frame(stream: bytes) -> None:
    incoming = Frames()
    try:
        got = list(incoming.feed(stream))
    except ValueError:
        return
    assert b"".join(map(packed, got)) == stream[: sum(len(packed(frame)) for frame in got)]


def test_a_frame_that_is_cut_off_is_the_end() -> None:
    assert read(io.BytesIO(packed([b"abc"])[:-1])) is None


def test_a_frame_is_never_larger_than_what_is_sound() -> None:
    head = (LARGEST_FRAME + 1).to_bytes(4, "little") + bytes(4)
    with pytest.raises(ValueError, match="stream is broken"):
        list(Frames().feed(head))
    with pytest.raises(ValueError, match="stream is broken"):
        read(io.BytesIO(head))
