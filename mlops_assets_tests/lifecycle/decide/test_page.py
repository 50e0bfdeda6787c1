import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.core.records.decision import ReviewAnswer
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.lifecycle.decide.page import decision_page
from mlops_assets_tests.lifecycle.decide.decisions import (
    decision,
    exchange,
    full_evidence,
    line_of,
    policy_for,
)
from mlops_assets_tests.lifecycle.decide.evidences import POLICY, evidence, set_result

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Elements(HTMLParser):
    """The names and attributes of a page's elements, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page(name: str = "kal", slices: int = 3, **changes: Any) -> str:
    policy = policy_for(slices, name)
    made = decision(full_evidence(policy, name, slices), policy, exchanges=(exchange(name),), **changes)
    return decision_page(line_of(policy), made, None)


def test_a_review_page_begins_with_verdict_reasons_and_what_would_have_to_be_true() -> None:
    policy = policy_for()
    made = decision(full_evidence(policy), policy, exchanges=(exchange(),))
    found = Elements(decision_page(line_of(policy), made, None))
    order = [found.text.index(each) for each in ("HUMAN_REVIEW", made.reasons[0][:30], "What would have to be true")]
    assert order == sorted(order)
    assert "it waits for a person" in found.text
    assert made.analysis is not None
    for said in (*made.analysis.to_approve, *made.analysis.would_help):
        assert " ".join(said.split()) in found.text
    assert "mlops reviews approve 0123456789ab --reason TEXT" in found.text
    assert "mlops decisions replay 0123456789ab" in found.text


def test_the_forest_has_sets_suites_protected_slices_and_classes_on_scales_of_their_own() -> None:
    found = Elements(page())
    for said in ("wer, in ratio", "cer, in ratio", "f1 of each class", "human synthetic critical", "protected slice"):
        assert said in found.text
    sets, protected, business, classes = 2, 3, 1, 2
    assert found.tags.count("svg") == sets + protected + business + classes
    places = [float(value or 0) for name, value in found.attributes if name in ("x1", "x", "width") and value != "2"]
    assert places
    assert all(0 <= each <= 200 for each in places)


@pytest.mark.parametrize(
    "said",
    [
        "1 of 20",
        "1 of 5",
        "a training with another seed",
        "2 of 6 units",
        "Over 2 seeds the gain in wer",
        "paired t",
        "4 of 4 slices are surely harmed",
        "The difference without one speaker or user",
        "The candidate confuses kal with kal 2 15 % more often than v1",
        "In the words of a language model",
        "green mango lost",
        "It recommends HUMAN_REVIEW, after 1.5 s",
        "9" * 64,
        "7" * 64,
        "sealed set (not opened)",
        "Measured on synthetic data in part",
        "A label check of the 30 items of contributor kal.",
    ],
)
def test_everything_the_decision_looked_at_is_told(said: str) -> None:
    assert said in Elements(page()).text


def test_hostile_names_are_text_wherever_they_come_from() -> None:
    answer = ReviewAnswer(approve=False, reviewer=HOSTILE, reason=HOSTILE, answered_at="2026-01-02T00:00:00+00:00")
    made = page(HOSTILE, review=answer, reasons=(HOSTILE,))
    found = Elements(made)
    assert "script" not in found.tags
    assert "img" not in found.tags
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert "7 * 7" in found.text
    assert made.count("&lt;script&gt;") >= 25
    assert "49" not in re.findall(r"\b49\b", found.text)


def test_nothing_is_loaded_from_elsewhere_and_no_id_is_there_twice() -> None:
    found = Elements(page())
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert not [
        value for name, value in found.attributes if name in ("src", "href") and (value or "").startswith("http")
    ]


def test_three_hundred_slices_are_one_readable_page() -> None:
    made = page("speaker", slices=300)
    assert len(made) < 1_500_000
    assert "281 more slices" in made
    assert "speaker299" in made


def test_a_rejection_by_a_gate_says_that_nobody_can_override_it() -> None:
    rejected = decision(evidence(infra_ok=False), POLICY)
    found = Elements(decision_page(line_of(), rejected, None))
    assert "REJECT" in found.text
    assert "can be overridden by nobody" in found.text
    assert "reviews approve" not in found.text
    assert "The policy names no language model" in found.text


def test_an_approval_has_a_page_without_an_analysis() -> None:
    policy = policy_for(0)
    approved = decision(full_evidence(policy), policy, verdict="APPROVE", pending=False, analysis=None)
    found = Elements(decision_page(line_of(policy), approved, None))
    assert "APPROVE" in found.text
    assert "What would have to be true" not in found.text
    assert "openai:gpt-x was not asked" in found.text


def test_an_analyst_that_was_away_is_said_to_have_been_unavailable() -> None:
    away = exchange(answer=None, reply=None, failure="No answer within 20 s.")
    found = Elements(page())
    assert "The rule stands" not in found.text
    policy = policy_for()
    made = decision(full_evidence(policy), policy, exchanges=(away,))
    assert "No usable answer, after 1.5 s: No answer within 20 s." in Elements(
        decision_page(line_of(policy), made, None)
    ).text.replace(" .", ".")


def test_real_data_is_not_called_synthetic_and_a_first_version_has_a_page() -> None:
    base = evidence(sets=(set_result(origin="real"),), production=None, production_version=None)
    rows = tuple(
        row.model_copy(update={"origin": "real", "production": None, "delta": None, "lower": None, "upper": None})
        for row in base.comparisons[:1]
    )
    systems = {"candidate": base.systems["candidate"]}
    found = base.model_copy(update={"comparisons": rows, "systems": systems})
    made = decision_page(line_of(), decision(found, POLICY), None)
    assert "synthetic" not in Elements(made).text
    assert "None" not in Elements(made).text


def test_the_evaluation_it_judged_is_referred_to() -> None:
    policy = policy_for()
    found = full_evidence(policy)
    report = EvalReport(
        line="speech", batch_id=found.batch_id, systems=found.systems, sets=found.sets, comparisons=found.comparisons,
        scorer="jiwer-4", infra_ok=True, alpha=0.05, resamples=10_000, seed=1, page="4" * 64,
    )  # fmt: skip
    made = Elements(decision_page(line_of(policy), decision(found, policy), report))
    assert "Scored by jiwer-4; 10000 resamples, seed 1." in made.text
    assert "4" * 64 in made.text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_the_page_without_an_error(tmp_path: Path, scheme: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = tmp_path / "decision.html"
    path.write_text(page(HOSTILE), encoding="utf-8")
    problems: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": 1000, "height": 800}, color_scheme=scheme)
        opened.on("console", lambda message: problems.append(message.text))
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("dialog", lambda dialog: problems.append(dialog.message))
        opened.goto(path.as_uri())
        wide, visible = opened.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        opened.get_by_text("What it was asked").click()
        assert opened.get_by_role("region", name="Gains in wer").count() == 1
        browser.close()
    assert problems == []
    assert wide == visible
