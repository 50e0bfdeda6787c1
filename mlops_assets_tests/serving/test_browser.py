"""The pages in a real browser: with the keyboard alone, in light and in dark, with and without JavaScript."""

import dataclasses
import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Route, expect
from tenacity import Retrying, stop_after_delay

from mlops_assets.core.serving import Beat, ServedVersion
from mlops_assets.lifecycle.deployment import rollout
from mlops_assets_tests.serving.browsing import WAIT_MS, Visit, browser, visiting
from mlops_assets_tests.serving.gateway_fixture import Gateway
from mlops_assets_tests.serving.lived_in import asked, begin_canary, lived_in, own_gateway, sample

__all__ = ["browser", "lived_in", "own_gateway"]
LIVE_PARTS = """() => [...document.querySelectorAll("[data-live]")].map((part) => {
  const copy = part.cloneNode(true);
  for (const time of copy.querySelectorAll("time")) time.textContent = "";
  return copy.outerHTML;
})"""


def refuse(gateway: Gateway, upload: str) -> None:
    """Let something happen that every page tells."""
    gateway.platform.ledger.append("refused", "topics", actor="ann", body={"filename": upload}, key=upload)


def as_fresh(visit: Visit, fresh: Visit) -> None:
    """The live parts of a page that stayed open become those of the page opened now; how long ago it was aside."""
    for attempt in Retrying(stop=stop_after_delay(WAIT_MS / 1_000)):
        with attempt:
            visit.later()
            fresh.page.goto(visit.page.url)
            assert visit.page.evaluate(LIVE_PARTS) == fresh.page.evaluate(LIVE_PARTS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_reviewer_with_a_keyboard_reads_answers_and_rolls_back(
    browser: Browser, own_gateway: Gateway, scheme: str
) -> None:
    with visiting(browser, own_gateway, "reviewer", color_scheme=scheme) as visit:
        page = visit.page
        assert (
            page.evaluate("getComputedStyle(document.body).backgroundColor")
            == {
                "light": "rgb(245, 246, 248)",
                "dark": "rgb(16, 20, 26)",
            }[scheme]
        )
        expect(page.get_by_role("heading", name="topics")).to_be_visible()
        visit.audited()
        visit.press("Reviews")
        expect(page.get_by_role("heading", name="Reviews")).to_be_visible()
        visit.audited()
        visit.press("topics: batch")
        expect(page.get_by_role("heading", name="What would have to be true to approve")).to_be_visible()
        visit.audited()
        visit.tab_to("Reason")
        page.keyboard.type("too few texts to tell")
        visit.press("Reject")
        expect(page.get_by_role("heading", name="Answered")).to_be_visible()
        expect(page.get_by_text("reviewer rejected it at")).to_be_visible()
        visit.audited()
        visit.press("Lines")
        expect(page.get_by_role("heading", name="Lines", exact=True)).to_be_visible()
        visit.press("Version 2")
        expect(page.get_by_role("heading", name="Versions of topics")).to_be_visible()
        visit.audited()
        visit.press("Roll back to version 1")
        expect(page.get_by_role("heading", name="Roll topics back to version 1?")).to_be_visible()
        assert own_gateway.platform.versions.pointer("topics").roles["production"] == 2
        visit.audited()
        visit.tab_to("Reason")
        page.keyboard.type("answers slowly")
        visit.press("Roll back to version 1")
        expect(page.get_by_text("rolled back by reviewer")).to_be_visible()
        assert own_gateway.platform.versions.pointer("topics").roles["production"] == 1
        visit.press("Log out")
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_canary_can_be_read_and_sent_on_by_an_admin(browser: Browser, own_gateway: Gateway, scheme: str) -> None:
    begin_canary(own_gateway)
    with visiting(browser, own_gateway, "admin", color_scheme=scheme) as visit:
        page = visit.page
        expect(page.get_by_role("img", name="log10 of the e-value of each signal")).to_be_visible()
        for path in ("", "/lines/topics", "/lines/topics/versions"):
            page.goto(visit.url + path)
            for closed in page.locator("summary").all():
                closed.click()
            visit.audited()
        visit.press("Go on to 25 %")
        expect(page.get_by_role("heading", name="Go on to 25 % of users?")).to_be_visible()
        visit.audited()
        visit.tab_to("Reason")
        page.keyboard.type("looks well")
        visit.press("Go on to 25 %")
        expect(page.get_by_text("advanced by admin")).to_be_visible()
    made = own_gateway.platform.versions.pointer("topics").rollout
    assert made is not None
    assert made.share == 0.25


def test_no_name_and_no_reason_is_too_long_for_a_page(browser: Browser, own_gateway: Gateway) -> None:
    platform, now = own_gateway.platform, datetime.now(UTC)
    word = "\u202e" + "supercalifragilistic" * 30
    wrong = sample(2, now, issues=(word,), recommendations=(word,))
    explained = tuple(each.model_copy(update={"explanation": word}) for each in wrong.signals)
    platform.watch.record(wrong.model_copy(update={"signals": explained}))
    failed = ServedVersion(version=2, servable="0" * 64, state="failed", problem=word)
    platform.watch.beat(Beat(gateway=word[:100], at=now.isoformat(), lines={"topics": (failed,)}))
    refuse(own_gateway, word)
    rollout.deploy(platform, own_gateway.line, 1, strategy="canary", actor=word, reason=word)
    rollout.hold(platform, own_gateway.line, why=word, actor=word)
    with visiting(browser, own_gateway, "admin") as visit:
        for path in ("/", "/lines/topics", "/lines/topics/versions", "/lines/topics/promote"):
            visit.page.goto(visit.url + path)
            for closed in visit.page.locator("summary").all():
                closed.click()
            visit.audited()


def test_a_chart_can_be_read_on_a_phone(browser: Browser, own_gateway: Gateway) -> None:
    begin_canary(own_gateway)
    with visiting(browser, own_gateway, "viewer") as visit:
        visit.page.set_viewport_size({"width": 360, "height": 700})
        visit.page.goto(f"{visit.url}/lines/topics")
        chart = visit.page.locator(".chart").first
        legend, drawing = chart.locator(".legend").bounding_box(), chart.locator("svg").bounding_box()
        assert legend is not None
        assert drawing is not None
        assert legend["y"] + legend["height"] <= drawing["y"]
        assert 12 * drawing["width"] / 640 >= 10  # px: the size of its texts
        visit.audited()


def test_an_answer_without_a_reason_stays_on_the_page_and_in_the_field(browser: Browser, own_gateway: Gateway) -> None:
    with visiting(browser, own_gateway, "reviewer") as visit:
        visit.page.goto(f"{visit.url}/review/{asked(own_gateway)}")
        visit.page.get_by_role("button", name="Approve").click()
        assert visit.page.evaluate("document.activeElement.id") == "reason"
        expect(visit.page.get_by_role("heading", name="Your answer")).to_be_visible()
    assert own_gateway.platform.reviews.get(asked(own_gateway)).answer is None


def test_a_gateway_can_be_used_by_plain_http_from_another_machine(browser: Browser, own_gateway: Gateway) -> None:
    """Without https or localhost a browser sends no Sec-Fetch-Site: what is left is the Origin of a form."""
    elsewhere = dataclasses.replace(own_gateway, url=own_gateway.url.replace("127.0.0.1", "gateway.test"))
    with visiting(browser, elsewhere, "reviewer") as visit:
        visit.page.goto(f"{visit.url}/lines/topics/rollback")
        visit.page.get_by_label("Reason").fill("slow")
        visit.page.get_by_role("button", name="Roll back to version 1").click()
        expect(visit.page.get_by_text("rolled back by reviewer")).to_be_visible()
        visit.audited()


def test_everything_works_without_javascript(browser: Browser, own_gateway: Gateway) -> None:
    with visiting(browser, own_gateway, "reviewer", java_script_enabled=True) as visit:
        state = visit.page.context.storage_state()
    context = browser.new_context(java_script_enabled=False, storage_state=state)
    page = context.new_page()
    page.goto(f"{own_gateway.url}/review/{asked(own_gateway)}")
    page.get_by_label("Reason").fill("read them")
    page.get_by_role("button", name="Approve").dblclick()
    expect(page.get_by_text("reviewer approved it at")).to_be_visible()
    page.goto(f"{own_gateway.url}/lines/topics/versions")
    page.get_by_role("link", name="Roll back to version 1").click()
    page.get_by_label("Reason").fill("slow")
    page.get_by_role("button", name="Roll back to version 1").dblclick()
    expect(page.get_by_text("rolled back by reviewer")).to_be_visible()
    context.close()
    kinds = [entry.kind for entry in own_gateway.platform.ledger.entries("topics")]
    assert (kinds.count("reviewed"), kinds.count("rolled_back")) == (1, 1)


def test_live_parts_follow_and_leave_alone_what_a_person_does(browser: Browser, own_gateway: Gateway) -> None:
    begin_canary(own_gateway)
    with visiting(browser, own_gateway, "viewer") as visit:
        page = visit.page
        page.goto(f"{visit.url}/lines/topics")
        page.set_viewport_size({"width": 360, "height": 700})
        page.get_by_text("Signal by signal").click()
        table = page.get_by_role("region", name="Signals of version 1")
        table.evaluate("(region) => { region.scrollLeft = 40; }")
        page.get_by_role("link", name="approve").focus()
        page.evaluate("getSelection().selectAllChildren(document.querySelector('.story bdi'))")
        selected = page.evaluate("getSelection().toString()")
        before = page.evaluate_handle("document.activeElement")
        refuse(own_gateway, "new.zip")
        visit.later()
        expect(page.get_by_text("The upload new.zip was refused.")).to_be_visible()
        assert page.evaluate("(before) => document.activeElement === before", before)
        assert page.evaluate("getSelection().toString()") == selected
        assert table.evaluate("(region) => region.scrollLeft") == 40
        assert visit.complaints == []


def test_what_is_pressed_while_the_page_changes_is_done(browser: Browser, own_gateway: Gateway) -> None:
    with visiting(browser, own_gateway, "viewer") as visit:
        page = visit.page
        page.get_by_role("link", name="topics", exact=True).first.hover()
        page.mouse.down()
        refuse(own_gateway, "new.zip")
        visit.later()
        expect(page.get_by_text("The upload new.zip was refused.")).to_be_visible()
        page.mouse.up()
        expect(page).to_have_url(f"{visit.url}/lines/topics")


def test_a_page_that_stays_open_becomes_what_a_fresh_one_is(browser: Browser, own_gateway: Gateway) -> None:
    platform, line = own_gateway.platform, own_gateway.line
    with visiting(browser, own_gateway, "admin") as visit, visiting(browser, own_gateway, "admin") as fresh:
        for path in ("/", "/lines/topics", "/lines/topics/versions", "/review"):
            visit.page.goto(visit.url + path)
            begin_canary(own_gateway)
            as_fresh(visit, fresh)
            rollout.rollback(platform, line, to=None, actor="ops", reason="enough")
            as_fresh(visit, fresh)
        expect(visit.page.get_by_label("Reviews")).to_have_count(0)
        visit.page.goto(f"{visit.url}/review/{asked(own_gateway)}")
        with own_gateway.client("reviewer") as client:
            answer = {"approve": False, "reason": "too few"}
            client.post(f"/v1/reviews/{asked(own_gateway)}", json=answer).raise_for_status()
        visit.later()
        expect(visit.page.get_by_text("reviewer rejected it at")).to_be_visible()
        expect(visit.page.get_by_role("navigation")).not_to_contain_text("waiting")


def test_a_question_that_is_past_is_said_on_the_page_that_asks_it(browser: Browser, own_gateway: Gateway) -> None:
    begin_canary(own_gateway)
    with visiting(browser, own_gateway, "admin") as visit:
        visit.page.goto(f"{visit.url}/lines/topics/promote")
        visit.page.get_by_label("Reason").fill("looks well")
        rollout.rollback(own_gateway.platform, own_gateway.line, to=None, actor="ops", reason="enough")
        visit.later()
        expect(visit.page.locator("#connection")).to_contain_text("The gateway answers 404 Not Found; what you see is")
        assert visit.page.get_by_label("Reason").input_value() == "looks well"


def test_a_gateway_that_is_gone_is_said_and_a_key_that_is_revoked_asks_again(
    browser: Browser, own_gateway: Gateway
) -> None:
    with visiting(browser, own_gateway, "viewer") as visit:
        page, notice = visit.page, visit.page.get_by_role("status")
        gone = re.compile(r"^The gateway does not answer; what you see is how things were at \d\d:\d\d:\d\d UTC\.$")
        page.route("**/*", lambda route: route.abort())
        visit.later()
        expect(notice).to_have_text(gone)
        page.unroute("**/*")
        page.route("**/*", lambda route: route.fulfill(status=503, body="no"))
        visit.later()
        expect(notice).to_contain_text("The gateway answers 503 Service Unavailable")
        page.unroute("**/*")
        visit.later()
        expect(notice).to_be_empty()
        page.context.clear_cookies()
        visit.later()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_gateway_that_hangs_is_asked_once_at_a_time_and_given_up(browser: Browser, own_gateway: Gateway) -> None:
    hanging: list[Route] = []
    with visiting(browser, own_gateway, "viewer") as visit:
        page, notice = visit.page, visit.page.get_by_role("status")
        page.route(page.url, lambda route: hanging.append(route))
        with page.expect_request(page.url):
            visit.later()
        visit.later()
        expect(notice).to_be_empty()
        visit.later(seconds=4)
        expect(notice).to_contain_text("The gateway does not answer")
        assert len(hanging) == 1
        page.unroute(page.url)
        visit.later()
        expect(notice).to_be_empty()


def test_the_recorded_evidence_shows_in_its_own_style_and_nothing_of_it_is_blocked(
    browser: Browser, own_gateway: Gateway
) -> None:
    with visiting(browser, own_gateway, "viewer", paused=False) as visit:
        visit.page.goto(f"{visit.url}/review/{asked(own_gateway)}")
        visit.page.get_by_role("link", name="All of the evidence").click()
        expect(visit.page.get_by_role("heading", name="Verdict")).to_be_visible()
        assert visit.page.evaluate("getComputedStyle(document.querySelector('section')).borderRadius") == "12px"
        assert visit.complaints == []
