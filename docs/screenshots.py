"""Make the pictures of the README from the running product: `make screenshots`, after `make demo`.

Starts the Dagster UI on the current home, opens it in a headless Chromium and writes docs/*.png.
"""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from tenacity import retry, stop_after_delay, wait_fixed

from mlops_assets import wiring
from mlops_assets.core.ports import Platform
from mlops_assets.lifecycle.decide.page import write_decision_page
from mlops_assets.lifecycle.decide.replaying import recorded_decisions
from mlops_assets.lifecycle.line_report import write_line_page

DOCS = Path(__file__).parent
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def main() -> None:
    """Write every picture."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("No Chromium was found. On Debian: apt-get install chromium")
    settings = wiring.settings()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    webserver = Path(sys.executable).parent / "dagster-webserver"
    server = subprocess.Popen(
        [webserver, "-w", settings.root / "workspace.yaml", "-p", str(port)],
        env=os.environ | wiring.process_environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
            page = browser.new_page(viewport={"width": 1400, "height": 620}, device_scale_factor=1.5)
            location = f"http://127.0.0.1:{port}"
            _open(page, f"{location}/locations/mlops_assets/asset-groups/speech/lineage")
            page.get_by_text("candidate_model").first.wait_for(timeout=60_000)
            _picture(page, "asset-graph.png")
            page.set_viewport_size({"width": 1400, "height": 1000})
            _open(page, f"{location}/assets/speech/eval_report")
            page.get_by_text("Metadata").first.wait_for(timeout=60_000)
            _picture(page, "eval-report.png")
            _line_report(page, wiring.platform(settings))
            _decision(page, wiring.platform(settings))
            browser.close()
    finally:
        server.terminate()
        server.wait(30)


def _line_report(page: Page, platform: Platform) -> None:
    """Photograph the errors part of the line with pictures, as `mlops report mango` writes it."""
    line = next(line for line in platform.lines() if line.line == "mango")
    page.set_viewport_size({"width": 1280, "height": 1100})
    page.goto(f"{write_line_page(platform, line, platform.home / 'reports').as_uri()}#errors")
    page.wait_for_timeout(1_500)  # the page glides to its part
    page.screenshot(path=DOCS / "line-report.png")


def _decision(page: Page, platform: Platform) -> None:
    """Photograph the top of the page of a decision that opened the sealed set, from the tour of intent."""
    decision = next(each for each in recorded_decisions(platform, "intent") if each.verdict == "APPROVE")
    page.set_viewport_size({"width": 1280, "height": 1100})
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


@retry(stop=stop_after_delay(90), wait=wait_fixed(1), reraise=True)
def _open(page: Page, url: str) -> None:
    page.goto(url, timeout=30_000)


if __name__ == "__main__":
    main()
