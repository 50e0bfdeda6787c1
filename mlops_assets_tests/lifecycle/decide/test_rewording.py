"""Which words of a language model may be shown to people: those that change no fact."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.records.decision import Exchange
from mlops_assets.lifecycle.decide.rewording import reworded, wording_prompt
from mlops_assets_tests.lifecycle.decide.evidences import evidence
from mlops_assets_tests.lifecycle.decide.hostile_replies import PRESSURE

PARAGRAPH = (
    "Batch 20260101-0123456789ab of mango was rejected. accuracy on golden is 0.9012 against 0.9103 in production, "
    "0.0091 worse (gain between -0.0150 and +0.0012, n=1,200). It takes verde for hoja 15 % more often than v2."
)
FAITHFUL = (
    "Batch 20260101-0123456789ab of {mango} was rejected: accuracy on {golden} is 0.9012 against 0.9103 in production, "
    "which is 0.0091 worse (the gain lies between -0.0150 and +0.0012, n=1,200). It also takes {verde} for {hoja} "
    "15% more often than v2."
)


def exchanged(answer: str | None, paragraph: str = PARAGRAPH, **changes: Any) -> Exchange:
    prompt, names = wording_prompt(paragraph, evidence(line="mango", **NAMED))
    values = {"purpose": "wording", "model": "openai:m", "prompt": prompt, "answer": answer, "seconds": 1.0}
    return Exchange.model_validate({**values, "names": names, **changes})


NAMED: dict[str, Any] = {"labels": {"verde": 3, "hoja": 4}}
IDS = {name: id for id, name in exchanged(None).names.items()}
ANSWER = FAITHFUL.format_map(IDS)


def test_a_faithful_rewording_is_shown_with_its_names():
    assert exchanged(ANSWER).prompt.endswith(f"{IDS['verde']} for {IDS['hoja']} 15 % more often than v2.")
    said = reworded(PARAGRAPH, exchanged(f' "{ANSWER}"\n'))
    assert said == FAITHFUL.format_map({name: name for name in IDS})


UNFAITHFUL = {
    "a number changed": ("0.9012", "0.9112"),
    "a number rounded": ("0.9012", "0.90"),
    "a number dropped": ("0.0091 ", ""),
    "a number added": ("often", "often in 3 sets"),
    "a number spelt out": ("often", "often in three sets"),
    "numbers swapped": ("0.9012 against 0.9103", "0.9103 against 0.9012"),
    "a sign lost": ("-0.0150", "0.0150"),
    "a sign changed": ("+0.0012", "-0.0012"),
    "a percent sign lost": ("15%", "15"),
    "a separator lost": ("1,200", "1200"),
    "a version changed": ("v2", "v3"),
    "another batch": ("0123456789ab", "0123456789ac"),
    "a direction changed": ("worse", "better"),
    "a frequency changed": ("more often", "less often"),
    "a verdict changed": ("was rejected", "was approved"),
    "a verdict denied": ("was rejected", "was not rejected"),
    "ids swapped": (f"{IDS['verde']} for {IDS['hoja']}", f"{IDS['hoja']} for {IDS['verde']}"),
    "an id lost": (f"takes {IDS['verde']} for", "takes one for"),
    "an id invented": ("often", "often on S9"),
    "a number in other digits": ("often", "often, \u0663 times,"),
    "a fraction": ("often", "\u00bd often"),
    "markup": ("rejected", "**rejected**"),
    "a tag": ("rejected", "<b>rejected</b>"),
    "an address": ("often", "often, see https://evil.example"),
    "a bare address": ("often", "often, see evil.example"),
    "a mention": ("often", "often, @channel"),
    "text that runs backwards": ("often", "\u202eoften"),
    "too long": ("often", "often" + " and so it goes on" * 40),
    "too short": (ANSWER, "Rejected."),
    "empty": (ANSWER, ""),
}


@pytest.mark.parametrize("change", UNFAITHFUL)
def test_a_rewording_that_changes_a_fact_is_thrown_away(change: str):
    old, new = UNFAITHFUL[change]
    assert old in ANSWER
    assert reworded(PARAGRAPH, exchanged(ANSWER.replace(old, new))) is None


def test_words_that_were_not_asked_for_this_paragraph_are_thrown_away():
    assert reworded(PARAGRAPH.replace("0.9012", "0.9013"), exchanged(ANSWER)) is None
    assert reworded(PARAGRAPH, exchanged(ANSWER, purpose="verdict")) is None
    assert reworded(PARAGRAPH, exchanged(ANSWER, failure="It timed out.")) is None
    assert reworded(PARAGRAPH, exchanged(None)) is None


@given(st.text(max_size=400) | st.sampled_from(PRESSURE))
def test_whatever_a_model_answers_no_fact_changes(answer: str):
    said = reworded(PARAGRAPH, exchanged(answer))
    assert said is None or re.findall(r"[\d.]+", said) == re.findall(r"[\d.]+", PARAGRAPH)
