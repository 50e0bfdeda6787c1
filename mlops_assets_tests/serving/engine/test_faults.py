"""Harm on purpose: it reaches canaries alone, and what cannot be meant is said."""

import asyncio

import pytest

from mlops_assets.core.errors import UsageError
from mlops_assets.serving.engine.exchange import Reply
from mlops_assets.serving.engine.faults import Fault, Faults

ANSWERS = [Reply(body=b"1", shown="1")] * 400


def harmed(fault: str, line: str = "topics", version: int = 2) -> list[Reply]:
    return asyncio.run(Faults([Fault.parse(fault)]).injected(line, version, list(ANSWERS)))


def test_a_share_of_answers_fails():
    failed = [each for each in harmed("topics:2:errors=0.5") if each.failure]
    assert 120 < len(failed) < 280
    assert {each.failure for each in failed} == {"injected"}
    assert not any(each.body for each in failed)


def test_other_versions_and_lines_are_left_alone():
    assert harmed("topics:2:errors=1", version=1) == ANSWERS
    assert harmed("topics:2:errors=1", line="other") == ANSWERS


@pytest.mark.parametrize(
    "text",
    ["", "topics", "topics:2:errors=2", "topics:0:errors=0.1", "topics:x:", "topics:2:wrong=1", "topics:2:errors"],
)
def test_what_cannot_be_meant_is_said(text: str):
    with pytest.raises(UsageError, match="Write it as LINE:VERSION"):
        Fault.parse(text)
