"""Make the pictures of the README from the running product: `make screenshots`, after `make demo`.

Starts the Dagster UI and a gateway on the current home, opens them in a headless Chromium and writes docs/*.png.
"""

import contextlib
import io
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from tenacity import retry, stop_after_delay, wait_fixed

from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle import keys
from mlops_assets.lifecycle.decide.page import write_decision_page
from mlops_assets.lifecycle.decide.questions import questions
from mlops_assets.lifecycle.decide.replaying import recorded_decisions
from mlops_assets.lifecycle.line_report import write_line_page
from mlops_assets.wiring.environment import process_environment
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings, read_settings

DOCS = Path(__file__).parent
PARTS = ("dagster", "reports", "gateway")
SHARPNESS = 1.5
VISITOR = f"screenshots-{os.getpid()}"
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def main() -> None:
    """Write every picture, or those of the parts that are named as arguments."""
    chosen = set(sys.argv[1:]) or set(PARTS)
    if unknown := chosen - set(PARTS):
        sys.exit(f"There is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}.")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("No Chromium was found. On Debian: apt-get install chromium")
    settings = read_settings()
    platform = open_platform(settings)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        if "dagster" in chosen:
            _dagster(browser, settings)
        if "reports" in chosen:
            page = browser.new_page(viewport={"width": 1280, "height": 1100}, device_scale_factor=SHARPNESS)
            _line_report(page, platform)
            _decision(page, platform)
        if "gateway" in chosen:
            _gateway(browser, platform)
        browser.close()


def _dagster(browser: Browser, settings: Settings) -> None:
    """Photograph the assets of a line, and one with its figures, in the Dagster UI."""
    page = browser.new_page(viewport={"width": 1400, "height": 620}, device_scale_factor=SHARPNESS)
    port = _free_port()
    with _running(
        [Path(sys.executable).parent / "dagster-webserver", "-w", settings.root / "workspace.yaml", "-p", port]
    ):
        location = f"http://127.0.0.1:{port}"
        _open(page, f"{location}/locations/mlops_assets/asset-groups/speech/lineage")
        page.get_by_text("candidate_model").first.wait_for(timeout=60_000)
        _picture(page, "asset-graph.png")
        page.set_viewport_size({"width": 1400, "height": 1000})
        _open(page, f"{location}/assets/speech/eval_report")
        page.get_by_text("Metadata").first.wait_for(timeout=60_000)
        _picture(page, "eval-report.png")


def _gateway(browser: Browser, platform: Platform) -> None:
    """Photograph the gateway's pages: lines, a line, its versions, and a question if one waits."""
    port = _free_port()
    secret, _ = keys.issue(platform, VISITOR, "reviewer", days=1, actor=VISITOR)
    try:
        with _running([Path(sys.executable).parent / "mlops", "serve", "--port", port]):
            for name, (path, scheme) in _pages(platform).items():
                page = browser.new_page(
                    viewport={"width": 1280, "height": 1000},
                    device_scale_factor=SHARPNESS,
                    color_scheme=scheme,
                    reduced_motion="reduce",
                    extra_http_headers={"Authorization": f"Bearer {secret}"},
                )
                _open(page, f"http://127.0.0.1:{port}{path}")
                page.get_by_role("navigation", name="Main").wait_for()
                _small(page, f"gateway-{name}.png")
                page.close()
    finally:
        keys.revoke(platform, VISITOR, actor=VISITOR)


def _pages(platform: Platform) -> dict[str, tuple[str, Literal["light", "dark"]]]:
    """Return what to photograph: the line that moved last, and the question that waits longest, at its evidence."""
    moved = [line.line for line in platform.lines() if len(platform.versions.list(line.line)) > 1]
    line = max(moved, key=lambda name: platform.versions.pointer(name).revision, default=None)
    found = {"lines": ("/", "light"), "lines-dark": ("/", "dark")}
    if line is not None:
        found |= {"line": (f"/lines/{line}", "light"), "versions": (f"/lines/{line}/versions", "light")}
    waiting = questions(platform)
    return found | ({"review": (f"/review/{waiting[0].review.decision_id}#evidence", "light")} if waiting else {})


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@contextlib.contextmanager
def _running(command: Sequence[str | Path]) -> Iterator[None]:
    """Run a server on the current home until the block ends."""
    server = subprocess.Popen(
        command,
        env=os.environ | process_environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        server.terminate()
        server.wait(60)


def _line_report(page: Page, platform: Platform) -> None:
    """Photograph the errors part of the line with pictures, as `mlops report mango` writes it."""
    line = next(line for line in platform.lines() if line.line == "mango")
    page.goto(f"{write_line_page(platform, line, platform.home / 'reports').as_uri()}#errors")
    page.wait_for_timeout(1_500)  # the page glides to its part
    page.screenshot(path=DOCS / "line-report.png")


def _decision(page: Page, platform: Platform) -> None:
    """Photograph the top of the page of a decision that opened the sealed set, from the tour of intent."""
    decision = next(each for each in recorded_decisions(platform, "intent") if each.verdict == "APPROVE")
    written = write_decision_page(platform, decision)
    if written is None:
        sys.exit("The decision on the good batch of intent has no page: run `mlops demo intent` again.")
    page.goto(written.as_uri())
    page.screenshot(path=DOCS / "decision.png")


def _picture(page: Page, name: str) -> None:
    page.wait_for_timeout(4_000)  # the graph is laid out by a web worker, which says nothing when it is done
    if page.get_by_role("button", name="Skip").is_visible():
        page.get_by_role("button", name="Skip").click()
        page.wait_for_timeout(1_000)
    page.screenshot(path=DOCS / name)


def _small(page: Page, name: str) -> None:
    """Photograph what is in view with 256 colours, which a page of text does not need more than."""
    with Image.open(io.BytesIO(page.screenshot())) as seen:
        seen.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(DOCS / name, optimize=True)


@retry(stop=stop_after_delay(90), wait=wait_fixed(1), reraise=True)
def _open(page: Page, url: str) -> None:
    page.goto(url, timeout=30_000)


if __name__ == "__main__":
    main()
