"""Make the pictures of the README from the running product: `make screenshots`.

In a home of its own, which it keeps: submits a batch about which a person is asked, runs the demo of the lines that are
shown, starts the Dagster UI and a gateway, sends users while a canary is judged, and opens all in a headless Chromium
that writes docs/*.png. Everything in the pictures is really computed; the first time takes as long as the demo does.
"""

import contextlib
import io
import itertools
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from tenacity import retry, stop_after_delay, wait_fixed

from mlops_assets.cli.output import Exit
from mlops_assets.core.dataset import item_input, read_items
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle import keys
from mlops_assets.lifecycle.decide.page import write_decision_page
from mlops_assets.lifecycle.decide.questions import questions
from mlops_assets.lifecycle.decide.replaying import recorded_decisions
from mlops_assets.lifecycle.deployment import rollout
from mlops_assets.lifecycle.evaluation.evaluation_sets import evaluation_sets
from mlops_assets.lifecycle.line_report import write_line_page
from mlops_assets.serving.pages.rolling import judged
from mlops_assets.wiring.environment import process_environment
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings, read_settings

DOCS = Path(__file__).parent
PARTS = ("review", "dagster", "reports", "gateway")
HEARD, SEEN, READ = "speech", "mango", "intent"  # the lines that are shown
SHARPNESS = 1.5
VISITOR = "maria"
JUDGED = 200  # requests to the canary before its picture is taken
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
        if "review" in chosen:
            _review(browser, platform, settings.root / "data" / "samples" / HEARD / "small.zip")
        if chosen - {"review"}:
            _mlops("demo", HEARD, SEEN, READ)
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
    page = browser.new_page(viewport={"width": 1600, "height": 620}, device_scale_factor=SHARPNESS)
    port = _free_port()
    with _running([_script("dagster-webserver"), "-w", settings.root / "workspace.yaml", "-p", port]):
        location = f"http://127.0.0.1:{port}"
        _open(page, f"{location}/locations/mlops_assets/asset-groups/{HEARD}/lineage")
        page.get_by_text("candidate_model").first.wait_for(timeout=60_000)
        _picture(page, "asset-graph.png")
        page.set_viewport_size({"width": 1400, "height": 1000})
        _open(page, f"{location}/assets/{HEARD}/eval_report")
        page.get_by_text("Metadata").first.wait_for(timeout=60_000)
        _picture(page, "eval-report.png")


def _review(browser: Browser, platform: Platform, small: Path) -> None:
    """Photograph the question about a batch that is too small to be judged without a person, at its evidence."""
    if not platform.versions.list(HEARD):
        _mlops("submit", HEARD, small, "--wait")
    waiting = questions(platform, HEARD)
    if not waiting:
        sys.stderr.write(f"{HEARD} was asked about and answered here before: gateway-review.png stays as it is.\n")
        return
    with _served(platform) as client:
        _photograph(browser, client, {"review": (f"/review/{waiting[0].review.decision_id}#evidence", "light")})


def _gateway(browser: Browser, platform: Platform) -> None:
    """Photograph the lines, one with a canary, and its versions."""
    line = next(line for line in platform.lines() if line.line == READ)
    try:
        with _served(platform) as client:
            _canary(platform, line, client)
            lines, versions = f"/lines/{READ}", f"/lines/{READ}/versions"
            _photograph(browser, client, {"lines": ("/", "light"), "lines-dark": ("/", "dark")})
            _photograph(browser, client, {"line": (lines, "light"), "versions": (versions, "light")})
    finally:
        if platform.versions.pointer(READ).rollout is not None:
            rollout.promote(platform, line, reason="its picture is taken", actor=VISITOR)


@contextlib.contextmanager
def _served(platform: Platform) -> Iterator[httpx.Client]:
    """Run a gateway, and yield a client of it with the key of a reviewer."""
    port = _free_port()
    if any(key.name == VISITOR and key.revoked_at is None for key in platform.keys.list()):
        keys.revoke(platform, VISITOR, actor=VISITOR)
    secret, _ = keys.issue(platform, VISITOR, "reviewer", days=1, actor=VISITOR)
    headers = {"Authorization": f"Bearer {secret}"}
    with (
        _running([_script("mlops"), "serve", "--port", port]),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client,
    ):
        yield client


def _photograph(
    browser: Browser, client: httpx.Client, pages: Mapping[str, tuple[str, Literal["light", "dark"]]]
) -> None:
    for name, (path, scheme) in pages.items():
        page = browser.new_page(
            viewport={"width": 1280, "height": 1000},
            device_scale_factor=SHARPNESS,
            color_scheme=scheme,
            reduced_motion="reduce",
            extra_http_headers={"Authorization": client.headers["Authorization"]},
        )
        _open(page, str(client.base_url.join(path)))
        page.get_by_role("navigation", name="Main").wait_for()
        _small(page, f"gateway-{name}.png")
        page.close()


def _canary(platform: Platform, line: Line, client: httpx.Client) -> None:
    """Roll the line's version out again, step by step, and be many users until its judge has seen something of it."""
    roles = platform.versions.pointer(READ).roles
    good, before = roles["production"], roles["previous"]
    rollout.rollback(platform, line, to=before, reason="to roll it out again, step by step", actor=VISITOR)
    rollout.deploy(platform, line, good, strategy="canary", reason="more messages are understood", actor=VISITOR)
    golden = next(each for each in evaluation_sets(platform, line) if each.kind == "golden")
    folder = platform.store.folder(golden.dataset)
    inputs = [item_input(folder, item) for item in read_items(folder)]
    for user, given in enumerate(itertools.cycle(inputs)):
        _predict(client, {"input": given, "user": f"user-{user}"})
        if user % 100 == 0 and _seen(platform, line, good):
            return
        if platform.versions.pointer(READ).rollout is None:
            sys.exit(
                f"Version {good} of {READ} was taken back before its picture was taken: see `mlops served {READ}`."
            )


def _seen(platform: Platform, line: Line, version: int) -> bool:
    said = judged(platform, line, platform.versions.pointer(READ))
    samples = platform.watch.history(READ, platform.clock() - timedelta(minutes=1))
    asked = any(sample.requests for sample in samples if sample.version == version)
    return asked and said is not None and said.canary_requests >= JUDGED


@retry(stop=stop_after_delay(120), wait=wait_fixed(1), reraise=True)
def _predict(client: httpx.Client, asked: Any) -> None:
    client.post(f"/v1/lines/{READ}/predict", json=asked).raise_for_status()


def _mlops(*words: str | Path) -> None:
    ended = subprocess.run([_script("mlops"), *words], env=os.environ | process_environment(), check=False)
    if ended.returncode not in (Exit.DONE, Exit.NOT_DEPLOYED):
        sys.exit(ended.returncode)


def _script(name: str) -> Path:
    return Path(sys.executable).parent / name


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
    line = next(line for line in platform.lines() if line.line == SEEN)
    page.goto(f"{write_line_page(platform, line, platform.home / 'reports').as_uri()}#errors")
    page.wait_for_timeout(1_500)  # the page glides to its part
    page.screenshot(path=DOCS / "line-report.png")


def _decision(page: Page, platform: Platform) -> None:
    """Photograph the top of the page of a decision that opened the sealed set, from the tour of intent."""
    decision = next(each for each in recorded_decisions(platform, READ) if each.verdict == "APPROVE")
    written = write_decision_page(platform, decision)
    if written is None:
        sys.exit(f"The decision on the good batch of {READ} has no page: run `mlops demo {READ}` again.")
    page.goto(written.as_uri())
    _small(page, "decision.png")


def _picture(page: Page, name: str) -> None:
    page.wait_for_timeout(4_000)  # the graph is laid out by a web worker, which says nothing when it is done
    if page.get_by_role("button", name="Skip").is_visible():
        page.get_by_role("button", name="Skip").click()
        page.wait_for_timeout(1_000)
    _small(page, name)


def _small(page: Page, name: str) -> None:
    """Photograph what is in view with 256 colours, which a page of text does not need more than."""
    with Image.open(io.BytesIO(page.screenshot())) as seen:
        seen.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(DOCS / name, optimize=True)


@retry(stop=stop_after_delay(90), wait=wait_fixed(1), reraise=True)
def _open(page: Page, url: str) -> None:
    page.goto(url, timeout=30_000)


if __name__ == "__main__":
    main()
