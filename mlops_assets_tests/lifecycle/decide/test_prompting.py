"""What a language model is shown of a decision: no name of anything, and no text that came with data."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.core.policy import Analyst, Margin, Policy, SliceMargin, TradeOff
from mlops_assets.core.records.decision import Evidence, Exchange, ItemEffect
from mlops_assets.core.records.evaluation import (
    Calibration,
    Compression,
    Confusion,
    ConfusionPair,
    ContributorReport,
    CrossCheck,
    Scanned,
)
from mlops_assets.core.records.purchases import ClusterEffect, Purchase, SeedGain, SliceReport, TrainingNoise
from mlops_assets.lifecycle.decide.failing import analyse
from mlops_assets.lifecycle.decide.prompting import verdict_prompt
from mlops_assets.lifecycle.decide.pseudonyms import plain
from mlops_assets.lifecycle.decide.rewording import reworded, wording_prompt
from mlops_assets.lifecycle.decide.rules import verdict
from mlops_assets_tests.lifecycle.decide.evidences import comparison, evidence, set_result
from mlops_assets_tests.lifecycle.decide.hostile_replies import NAMES, PRESSURE

POLICY = Policy(
    primary=Margin(metric="accuracy", margin=0.01),
    business=(Margin(metric="f1_class_maduro", margin=0.01),),
    protected=(SliceMargin(metric="accuracy", slice="label:maduro", margin=0.05),),
    analyst=Analyst(model="openai:m", goal="ripe mangoes are found"),
    analyst_may_approve_within=(TradeOff(metric="f1_class_maduro", gain=0.02, loss=0.02),),
)
KEYED = {"golden", "labels", "dropped", "flagged", "parents"}
MADE_HERE = {"batch_id"}  # the platform's own text, of digits and hex, that a message has to name


def rich(slices: int = 3, labels: int = 3) -> Evidence:
    """Evidence with something in every field."""
    classes = ("maduro", "verde", "hoja", *(f"label-{number}" for number in range(labels - 3)))
    metrics = ("accuracy", "macro_f1", *(f"{kind}_class_{label}" for kind in ("f1", "recall") for label in classes))
    values = ("label:maduro", "light:dim", *(f"place:place-{number}" for number in range(slices - 2)))
    lost: dict[str, Any] = {
        "delta": -0.0312,
        "lower": -0.0512,
        "upper": -0.0112,
        "gain_lower": -0.0612,
        "candidate": 0.8123,
    }
    noise = TrainingNoise(
        set_name="golden",
        metric="accuracy",
        seeds=(SeedGain(seed=1, servable="c" * 64, delta=0.01), SeedGain(seed=2, servable="e" * 64, delta=-0.01)),
        mean=0.0,
        deviation=0.014,
        lower=-0.02,
    )
    scan = [
        Scanned(
            set_name="golden",
            slice=name,
            metric="accuracy",
            n=40,
            clusters=9,
            delta=-0.1,
            p=0.001,
            adjusted=0.01,
            harmed=True,
        )
        for name in values
    ]
    pair = ConfusionPair(
        label="verde", predicted="hoja", n=40, candidate=0.3, production=0.1, delta=0.2, lower=0.1, upper=0.3
    )
    return evidence(
        POLICY,
        sets=(set_result(), set_result("people", "critical")),
        comparisons=tuple(
            comparison(name, metric=metric, **lost) for name in ("golden", "people") for metric in metrics
        )
        + tuple(comparison(metric=metric, slice=name, **lost) for name in values for metric in metrics[:2]),
        confusions=(
            Confusion(
                set_name="golden",
                origin="real",
                labels=classes,
                candidate=tuple((1,) * (len(classes) + 1) for _ in classes),
                pairs=(pair,),
            ),
        ),
        calibrations=(Calibration(set_name="golden", system="candidate", error=0.1, bins=((0.9, 0.8, 40),)),),
        compression=(
            Compression(
                set_name="golden",
                metric="accuracy",
                n=40,
                agreement=0.99,
                delta=0.0,
                lower=-0.01,
                upper=0.01,
                size_ratio=0.3,
                latency_ratio=0.5,
            ),
        ),
        cross_checks=(
            CrossCheck(set_name="golden", metric="accuracy", test="mcnemar", quantity="items", n=9, statistic=1, p=0.9),
        ),
        scan=tuple(scan),
        items=(ItemEffect(set_name="golden", item="mango-0007.jpg", change=-1.0),),
        dropped={"VIS003": 4, "other": 1},
        flagged={"VIS010": 2},
        labels=dict.fromkeys(classes, 30),
        contributors=(ContributorReport(contributor="ann", items=50, share=0.5, disagreement=0.4, outlier=True),),
        noise=noise,
        slices=SliceReport(
            scan=tuple(scan[:1]),
            clusters=(
                ClusterEffect(set_name="golden", cluster="tree-12", metric="accuracy", n=9, delta=-0.3, without=0.01),
            ),
        ),
        purchases=(Purchase(tool="seeds", cost=2, why="the luck of a seed", gave="e" * 64),),
        sealed="f" * 64,
        openings=1,
    )


def planted(found: Evidence, poison: Callable[[str], str]) -> Evidence:
    """Return evidence with poison in every text that its types allow to be any text, keys included."""

    def walk(value: Any, field: str) -> Any:
        if isinstance(value, str):
            return poison(value) if field in FREE else value
        if isinstance(value, list):
            return [walk(each, field) for each in value]
        if isinstance(value, dict):
            return {poison(key) if field in KEYED else key: walk(each, key) for key, each in value.items()}
        return value

    return Evidence.model_validate(walk(json.loads(found.canonical_json()), ""))


def free_fields(found: Evidence) -> set[str]:
    """Return the fields of evidence that any text fits into."""

    def texts(value: Any, field: str) -> Iterator[str]:
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str):
                yield field
            for key, held in each.items() if isinstance(each, dict) else ():
                yield from texts(held, key)

    def taken(value: Any, wanted: str, field: str = "") -> Any:
        if isinstance(value, list):
            return [taken(each, wanted, field) for each in value]
        if isinstance(value, dict):
            return {key: taken(each, wanted, key) for key, each in value.items()}
        return "any text" if isinstance(value, str) and field == wanted else value

    def fits(field: str) -> bool:
        try:
            Evidence.model_validate(taken(document, field))
        except ValidationError:
            return False
        return True

    document = json.loads(found.canonical_json())
    return {field for field in set(texts(document, "")) if fits(field)} - MADE_HERE


def prompts(found: Evidence) -> tuple[str, str]:
    ruling = verdict(found, POLICY)
    paragraph = analyse(found, POLICY, ruling).paragraph
    return verdict_prompt(found, POLICY, ruling)[0], wording_prompt(paragraph, found)[0]


FREE = free_fields(rich())
CLEAN = " ".join(prompts(rich()))


@pytest.mark.parametrize("template", ["{token}", "{name}{token}", "{token}{name}", "f1_class_{token}", "kind:{token}"])
@settings(deadline=None, max_examples=20)
@given(token=st.from_regex(r"[a-z]{8,16}", fullmatch=True))
def test_no_name_of_anything_reaches_a_prompt(template: str, token: str):
    assume(token not in CLEAN)
    found = planted(rich(), lambda name: template.format(name=name, token=token))
    assert found.canonical_json().count(token) > 50
    for prompt in prompts(found):
        assert token not in prompt.casefold()


@pytest.mark.parametrize("token", [*NAMES, *PRESSURE])
def test_no_hostile_name_reaches_a_prompt(token: str):
    for prompt in prompts(planted(rich(), lambda name: f"{token} {name}")):
        for word in re.findall(r"[^\W_]{5,}", token.casefold()):
            assert word in CLEAN.casefold() or word not in prompt.casefold()


def test_of_all_free_text_only_the_operators_goal_is_shown():
    found = rich()
    text, _ = verdict_prompt(found, POLICY, verdict(found, POLICY))
    assert "ripe mangoes are found" in text
    for name in ("maduro", "verde", "hoja", "dim", "people", "mango-0007", "ann", "tree-12", "speech", found.batch_id):
        assert not re.search(rf"\b{name}\b", text)


def test_ids_stand_for_what_they_replace():
    found = rich()
    text, names = verdict_prompt(found, POLICY, verdict(found, POLICY))
    ids = {name: id for id, name in names.items() if id[0] != "V"}
    assert f"{ids['f1_class_maduro']}: f1 of class {ids['maduro']}" in text
    assert f"{ids['verde']} taken for {ids['hoja']} in 0.3 of 40" in text
    assert f"{ids['ann']}: 50 items, share 0.5, production disagrees on 0.4, OUTLIER" in text
    assert f"without {ids['tree-12']} (9 items" in text
    assert f"left to you: gain of {ids['f1_class_maduro']} above 0.02, if lower of accuracy is above -0.02" in text
    assert f"{ids['latency']} holds: gate latency, seen 1, limit 1.5" in text
    assert "verdict REJECT" in text
    assert "bought seeds for 2" in text
    assert "VIS003 4" in text
    assert "looks at the golden set 1 of 20" in text


def test_a_prompt_is_short_however_much_was_measured():
    found = rich(slices=60, labels=40)
    found = found.model_copy(
        update={
            "confusions": (
                found.confusions[0].model_copy(update={"pairs": found.confusions[0].pairs * 30}),
                *found.confusions * 5,
            ),
            "contributors": found.contributors * 50,
            "cross_checks": found.cross_checks * 50,
            "purchases": found.purchases * 50,
            "dropped": {f"VIS{number:03}": number for number in range(60)},
        }
    )
    text, _ = verdict_prompt(found, POLICY, verdict(found, POLICY))
    # Counted as OpenAI's tokenizers split before they merge: at most three digits, and then some for long words.
    tokens = re.findall(r"\d{1,3}| ?[A-Za-z]{1,7}|[^\sA-Za-z\d]", text)
    assert len(tokens) < 6_000
    assert "more are left out)" in text
    assert text == verdict_prompt(found, POLICY, verdict(found, POLICY))[0]


def test_the_slices_that_lost_most_are_shown_and_the_protected_ones_always():
    found = rich(slices=60)
    best = {"lower": 0.5, "delta": 0.6, "upper": 0.7}
    spread = tuple(
        each.model_copy(update=best if each.slice in ("label:maduro", "place:place-7") else {})
        for each in found.comparisons
    )
    found = found.model_copy(update={"comparisons": spread})
    text, names = verdict_prompt(found, POLICY, verdict(found, POLICY))
    ids = {name: id for id, name in names.items()}
    assert re.search(rf"^S1 {ids['label:maduro']} accuracy", text, re.MULTILINE)
    assert not re.search(rf"^S1 {ids['place:place-7']} accuracy", text, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in NAMES if name.strip()])
def test_a_paragraph_with_any_name_comes_back_as_it_was(name: str):
    found = planted(rich(), lambda text: f"{text} {name}")
    paragraph = analyse(found, POLICY, verdict(found, POLICY)).paragraph
    prompt, names = wording_prompt(paragraph, found)
    answer = prompt.rpartition("\n\n")[2]
    same = Exchange(purpose="wording", model="openai:m", prompt=prompt, names=names, answer=answer, seconds=1.0)
    assert reworded(paragraph, same) == plain(paragraph)
