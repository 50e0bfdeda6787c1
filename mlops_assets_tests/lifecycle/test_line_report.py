"""The report page of a line, as a person opens it, and its tables."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mlops_assets.core.errors import NotFound
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.evaluation.examples import shown_items
from mlops_assets.lifecycle.intake.ingest import ingest
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets.lifecycle.line_report import line_page, line_report, write_batch_page, write_line_page
from mlops_assets_tests.lifecycle.chain import open_light_line, run, submit
from mlops_assets_tests.lifecycle.pictures import picture_dataset
from mlops_assets_tests.lines import TOPICS, texts, write_rows

HOSTILE = "<img src=http://evil.example/x onerror=alert(1)>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Requests(HTMLParser):
    """Collects what a browser would load or run, and the text of each heading."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "srcset", "data", "action")]
        self.loaded += [value or "" for name, value in attrs if tag == "link" and name == "href"]


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> tuple[Platform, Line]:
    """A line whose v2 and v3 were released, and of which a batch was rejected and one refused for hostile data."""
    folder = tmp_path_factory.mktemp("lived-in")
    platform, line = open_light_line(folder)
    assert run(platform, line, submit(platform, line, "good")).verdict == "APPROVE"
    assert run(platform, line, submit(platform, line, "wrong")).verdict == "REJECT"
    assert run(platform, line, submit(platform, line, "good", seed=8, items=240)).verdict == "APPROVE"
    rows = [row | {"text": f"{HOSTILE} {row['text']}", "label": HOSTILE if at % 2 else row["label"]}
            for at, row in enumerate(texts(6, 30))]  # fmt: skip
    write_rows(folder / "hostile" / "texts.jsonl", rows)
    record, _ = ingest(platform, line, folder / "hostile", contributor=f"eve {HOSTILE}", source="cli")
    assert not validate(platform, line, record.batch_id).accepted
    return platform, line


@pytest.fixture(scope="module")
def page(lived_in: tuple[Platform, Line]) -> str:
    return line_page(line_report(*lived_in))


def test_the_tables_are_those_of_the_records(lived_in: tuple[Platform, Line]):
    platform, line = lived_in
    report = line_report(platform, line)
    assert [each.status for each in report.exploration.batches] == ["DEPLOYED", "QUARANTINED", "DEPLOYED", "REFUSED"]
    golden = {label: counts["golden"] for label, counts in report.exploration.balances[0].counts.items()}
    assert golden == dict.fromkeys(TOPICS, 20)
    assert {each.code: each.times for each in report.exploration.reasons}["BAS011"] == 15
    assert sum(sum(each) for each in report.exploration.distributions[0].counts.values()) == 60 + 120 + 200 + 240 + 15
    assert [(each.version, each.roles) for each in report.contest.versions] == [
        (1, ()),
        (2, ("previous",)),
        (3, ("production",)),
    ]
    values = [each.value for each in report.contest.versions]
    assert all(value is not None for value in values)
    assert values == sorted(values, key=lambda value: value or 0)
    latest = platform.records.get(line.line, report.exploration.batches[2].batch_id, "eval_report")
    assert latest is not None
    errors = report.mistakes
    matrix = next(each for each in errors.matrices if each.set_name == "golden")
    wrong = sum(count for at, row in enumerate(matrix.counts) for to, count in enumerate(row) if at != to)
    assert errors.version == 3
    assert wrong == round(60 * (1 - (values[2] or 0))) == sum(each.set_name == "golden" for each in errors.worst)
    assert all(each.prediction != each.reference for each in errors.worst)
    for flips in errors.flips:
        assert flips.better + flips.worse + flips.same == 60
        assert flips.better - flips.worse == round(
            60 * ((values[flips.later - 1] or 0) - (values[flips.earlier - 1] or 0))
        )
    assert [each.name for each in errors.contributors] == ["ann", f"eve {HOSTILE}"]


def test_the_page_says_what_there_is(page: str):
    for said in ("Data exploration", "Model comparison", "Error analysis", "Balance by label", "Learning curves",
                 "Worst errors", "Confusion", "What releases changed", "Agreement with contributors", "v2 → v3",
                 "BAS011", "unknown label", "below the gate", "Version 3"):  # fmt: skip
        assert said in page
    assert page.count("<svg ") == 4
    assert page.count("origin synthetic") > 20
    assert "None" not in page


def test_nothing_is_loaded_or_run_whatever_users_wrote(page: str):
    seen = Requests(page)
    assert "script" not in seen.tags
    assert all(each.startswith("data:") for each in seen.loaded)
    assert "&lt;img src=http://evil.example" in page
    assert "Content-Security-Policy" in page
    assert "default-src 'none'" in page


def test_a_page_has_no_id_twice_and_links_inside_itself(page: str):
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {"data", "models", "errors"} == set(re.findall(r'href="#([a-z]+)"', page)) <= set(ids)


def test_links_lead_to_the_evaluation_pages_as_they_were_recorded(lived_in: tuple[Platform, Line], tmp_path: Path):
    platform, line = lived_in
    target = write_line_page(platform, line, tmp_path)
    links = re.findall(r'href="(topics/[^"]+)"', target.read_text())
    assert len(links) == 3
    assert all("what was measured" in (tmp_path / link).read_text().lower() for link in links)
    before = target.read_bytes()
    assert write_line_page(platform, line, tmp_path).read_bytes() == before
    assert write_batch_page(platform, line, Path(links[0]).stem, tmp_path) == tmp_path / links[0]
    refused = platform.batches.list(line.line)[-1].batch_id
    with pytest.raises(NotFound, match="was not evaluated"):
        write_batch_page(platform, line, refused, tmp_path)


def test_a_line_without_batches_shows_its_golden_set(tmp_path: Path):
    platform, line = open_light_line(tmp_path)
    shown = line_page(line_report(platform, line))
    assert "No batch has come in yet" in shown
    assert "Examples from golden" in shown
    assert "Balance by label" in shown
    assert "None" not in shown


def test_pictures_are_carried_and_sounds_are_not(platform: Platform, tmp_path: Path):
    dataset = picture_dataset(platform, tmp_path / "dataset")
    shown = shown_items(platform, dataset, ["picture", "broken", "sound", "row", "long", "absent"])
    assert (shown["picture"].picture or "").startswith("data:image/jpeg;base64,")
    assert len(shown["picture"].picture or "") < 8000
    assert shown["broken"].picture is shown["sound"].picture is None
    assert shown["row"].text == "bars: 8 · key: 6a"
    assert len(shown["long"].text) < 500


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_the_page_without_an_error(lived_in: tuple[Platform, Line], tmp_path: Path, scheme: str):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = write_line_page(*lived_in, tmp_path)
    problems: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": 1000, "height": 800}, color_scheme=scheme)
        opened.on("console", lambda message: problems.append(message.text))
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("request", lambda request: request.url.startswith("http") and problems.append(request.url))
        opened.goto(path.as_uri())
        wide, visible = opened.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        opened.get_by_role("link", name="Errors").click()
        assert opened.get_by_role("heading", name="Error analysis").is_visible()
        assert opened.get_by_role("img", name="Metrics of every candidate").count() == 1
        browser.close()
    assert problems == []
    assert wide == visible
