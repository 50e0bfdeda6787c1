"""A person in a real browser: with the keyboard, and with time that passes when a test says so.

Needs a Chromium: where `CI` is set a missing one fails the tests, elsewhere they are skipped and say so.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mlops_assets_tests.serving.gateway_fixture import Gateway

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--host-resolver-rules=MAP gateway.test 127.0.0.1"]  # fmt: skip
MOST_TABS = 60
WAIT_MS = 30_000
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
expect.set_options(timeout=WAIT_MS)
AUDIT = Path(__file__).with_name("accessibility.js").read_text(encoding="utf-8")
FOCUSED = """() => {
  const focused = document.activeElement, style = getComputedStyle(focused);
  const text = (focused.getAttribute("aria-label") || focused.textContent).trim();
  const labels = [...(focused.labels || [])].map((label) => label.textContent).join();
  return [text || labels, style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0];
}"""


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
