"""The pages in a real browser: with the keyboard alone, in light and in dark, with and without JavaScript.

Needs a Chromium: where `CI` is set a missing one fails these tests, elsewhere they are skipped and say so.
"""

import contextlib
import dataclasses
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from tenacity import Retrying, stop_after_delay

from mlops_assets.core.serving import Beat, ServedVersion
from mlops_assets.lifecycle.deployment import rollout
from mlops_assets_tests.serving.gateway_fixture import Gateway
from mlops_assets_tests.serving.lived_in import asked, begin_canary, lived_in, own_gateway, sample

__all__ = ["lived_in", "own_gateway"]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--host-resolver-rules=MAP gateway.test 127.0.0.1"]  # fmt: skip
MOST_TABS = 60
WAIT_MS = 30_000
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
AUDIT = Path(__file__).with_name("accessibility.js").read_text(encoding="utf-8")
FOCUSED = """() => {
  const focused = document.activeElement, style = getComputedStyle(focused);
  const text = (focused.getAttribute("aria-label") || focused.textContent).trim();
  const labels = [...(focused.labels || [])].map((label) => label.textContent).join();
  return [text || labels, style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0];
}"""

LIVE_PARTS = """() => [...document.querySelectorAll("[data-live]")].map((part) => {
  const copy = part.cloneNode(true);
  for (const time of copy.querySelectorAll("time")) time.textContent = "";
  return copy.outerHTML;
})"""


@dataclass
class Visit:
    """A page of one person, and everything the browser had to say."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def later(self, seconds: int = 5) -> None:
        """Let time pass on the page: its script looks again."""
        self.page.wait_for_load_state()  # what a person sees shows before the scripts have run
        self.page.clock.run_for(1_000 * seconds)

    def tab_to(self, name: str) -> None:
        """Reach a control with the Tab key alone, as somebody without a mouse does; its focus can be seen."""
        self.page.wait_for_load_state()
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            focused = self.page.evaluate(FOCUSED)
            if focused[0].startswith(name):
                assert focused[1], f"the focus of '{name}' cannot be seen"
                return
        raise AssertionError(f"'{name}' cannot be reached with the keyboard")

    def press(self, name: str) -> None:
        """Reach a control and press Enter."""
        self.tab_to(name)
        self.page.keyboard.press("Enter")

    def audited(self) -> None:
        """Nothing stands in a person's way on this page, at any width; nothing was blocked, or came from elsewhere."""
        self.page.wait_for_load_state()
        assert self.page.evaluate(AUDIT) == []
        self.page.set_viewport_size({"width": 320, "height": 700})
        assert self.page.evaluate("document.documentElement.scrollWidth") <= 320
        self.page.set_viewport_size({"width": 1280, "height": 900})
        assert self.complaints == []
        assert self.elsewhere == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None and os.environ.get("CI"):
        pytest.fail("No Chromium was found, and CI has to try the pages in one. On Debian: apt-get install chromium")
    if chromium is None:
        pytest.skip("No Chromium was found: the pages were not tried in a browser. On Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield launched
        launched.close()


@contextlib.contextmanager
def visiting(browser: Browser, gateway: Gateway, role: str, *, paused: bool = True, **options: Any) -> Iterator[Visit]:
    """Open the log-in form and pass it, with the keyboard; while its time is paused no page looks again by itself."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    context.set_default_timeout(WAIT_MS)
    if paused:
        context.clock.install(time=NOON)
        context.clock.pause_at(NOON)
    visit = Visit(context.new_page(), gateway.url)
    visit.page.goto(gateway.url)
    expect(visit.page.get_by_label("Your key")).to_be_focused()
    assert visit.page.evaluate(AUDIT) == []
    visit.page.on(
        "console", lambda said: visit.complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on(
        "request",
        lambda asked: visit.elsewhere.append(asked.url) if not asked.url.startswith((gateway.url, "data:")) else None,
    )
    visit.page.keyboard.type(gateway.keys[role])  # pyright: ignore[reportArgumentType]
    visit.page.keyboard.press("Enter")
    expect(visit.page.get_by_role("heading", name="Lines", exact=True)).to_be_visible()
    yield visit
    context.close()


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
