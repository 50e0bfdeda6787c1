"""Every page as HTML: whole, labelled, escaped, from one place."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tenacity import Retrying, stop_after_delay

from mlops_assets.core.ports.accountability import LedgerEntry
from mlops_assets.core.serving import Beat, ServedVersion
from mlops_assets.lifecycle import pages as reports
from mlops_assets.lifecycle.deployment import rollout
from mlops_assets.lifecycle.deployment.bootstrapping import bootstrap
from mlops_assets.lifecycle.monitoring.watching import look
from mlops_assets.serving.pages.story import latest, told
from mlops_assets_tests.lines import baseline_line
from mlops_assets_tests.platform_fixture import InProcess, make_platform
from mlops_assets_tests.serving.gateway_fixture import Gateway, IdleEngine, gateway_of
from mlops_assets_tests.serving.lived_in import (
    PAGE,
    Page,
    answered,
    asked,
    begin_canary,
    lived_in,
    opened,
    own_gateway,
    sample,
    seen_gateway,
)

__all__ = ["lived_in", "own_gateway", "seen_gateway"]
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}"
PATHS = (
    "/",
    "/lines/topics",
    "/lines/topics/versions",
    "/lines/topics/rollback",
    "/lines/topics/deploy?version=1",
    "/review",
    "/review/{decision}",
    "/lines/none",
)


@pytest.fixture(scope="module")
def watched_gateway(lived_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose line is asked, is healthy in part, and has hostile names wherever a name may come from."""
    with opened(lived_in, tmp_path_factory.mktemp("watched") / "site") as made:
        now = datetime.now(UTC)
        for minutes in range(60):
            made.platform.watch.record(sample(2, now - timedelta(minutes=minutes), failures=minutes % 5))
        problem = ServedVersion(version=3, servable="0" * 64, state="failed", problem=HOSTILE)
        ready = ServedVersion(version=2, servable="0" * 64, state="ready", waiting=7, shed=2)
        made.platform.watch.beat(
            Beat(gateway="web1:4711", at=(now + timedelta(hours=1)).isoformat(), lines={"topics": (ready, problem)})
        )
        state = {"revision": 9, "roles": {"production": 2}, "rollout": None}
        body = {"from": 3, "to": 2, "reason": HOSTILE, **state}
        made.platform.ledger.append("rolled_back", "topics", actor=HOSTILE, key="hostile", body=body)
        yield made


def opened_page(gateway: Gateway, path: str) -> Page:
    with gateway.client("admin", headers=PAGE) as client:
        return Page(client.get(path.replace("{decision}", asked(gateway))).text)


@pytest.mark.parametrize("path", PATHS)
def test_every_page_is_whole_labelled_and_from_one_place(watched_gateway: Gateway, path: str) -> None:
    page = opened_page(watched_gateway, path)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert len(page.all("h1")) == 1
    assert [each.tag for each in page.all("header", "nav", "main") if each.tag in ("nav", "main")] == ["nav", "main"]
    assert page.elements[0].attributes == {"lang": "en"}
    assert not page.all("style", "iframe", "object")
    assert not page.values("style")
    assert not [name for each in page.elements for name in each.attributes if name.startswith("on")]
    assert all(value.startswith(("/static/", "data:,", "/review/")) for value in page.values("src"))
    assert page.all("link")[0].attributes["href"] == "data:,"
    labelled = {each.attributes.get("for") for each in page.all("label")}
    assert all(
        each.attributes.get("type") == "hidden" or each.attributes.get("id") in labelled
        for each in page.all("input", "textarea", "select")
    )
    assert all(each.attributes.get("alt") for each in page.all("img"))
    assert all(each.attributes.get("aria-label") or each.attributes.get("aria-hidden") for each in page.all("svg"))
    assert set(page.values("aria-labelledby")) <= set(ids)
    assert "7 * 7" in page.text or "{{" not in page.text


@pytest.mark.parametrize("path", ["/", "/lines/topics", "/lines/topics/versions"])
def test_hostile_names_are_text(watched_gateway: Gateway, path: str) -> None:
    page = opened_page(watched_gateway, path)
    assert {str(each.attributes.get("src")).split("?")[0] for each in page.all("script")} == {"/static/live.js"}
    assert not page.all("img")
    assert "<script>alert(1)</script>" in page.text


def test_the_first_page_says_how_each_line_does(watched_gateway: Gateway) -> None:
    text = opened_page(watched_gateway, "/").text
    for said in (
        "web1:4711", "Version 2 serves, health 0.98", "7 requests wait", "2 were refused for overload", "healthy",
        "1 of 3 signals within their limits, 1 not known", "too few requests to say", "21 ms", "cannot serve version 3",
        "Batch", "a person is asked", "pending review", "1 question waits for a person",
    ):  # fmt: skip
        assert said in text.replace(" ,", ","), said


def test_a_page_that_there_is_not_is_not_looked_at_again(seen_gateway: Gateway) -> None:
    assert not opened_page(seen_gateway, "/lines/none").all("script")
    assert opened_page(seen_gateway, "/lines/topics").all("script")


def test_the_page_of_a_line_has_score_and_gates_and_draws_them_over_time(watched_gateway: Gateway) -> None:
    page = opened_page(watched_gateway, "/lines/topics")
    assert "Score 0.98 = 0.4 × connection 1.00 + 0.4 × errors 0.97 + 0.2 × latency 0.96" in page.text
    drawn_charts = [each.attributes.get("aria-label") for each in page.all("svg")]
    assert len(drawn_charts) == 4
    assert any(str(says).startswith("Health score of each version") for says in drawn_charts)
    assert "2.1 s, beyond 1 s" in page.text


def test_a_line_that_nobody_asks_is_not_called_inconclusive(own_gateway: Gateway) -> None:
    for path in ("/", "/lines/topics"):
        text = opened_page(own_gateway, path).text
        assert "Nobody has looked at it in the last quarter of an hour: its health is not known." in text
        assert "No requests" not in text
    look(own_gateway.platform, own_gateway.line, datetime.now(UTC))
    for path in ("/", "/lines/topics"):
        text = opened_page(own_gateway, path).text
        assert "No requests in the last 5 minutes: its health is not known" in text
        assert "inconclusive" not in text
        assert "Score –" not in text


def test_a_canary_is_shown_with_its_evidence_while_it_runs_and_after_it_was_taken_back(own_gateway: Gateway) -> None:
    platform, line = own_gateway.platform, own_gateway.line
    rollout.deploy(platform, line, 1, strategy="canary", actor="ops", reason="compare")
    assert "Its judge has not looked yet" in opened_page(own_gateway, "/").text
    rollout.rollback(platform, line, to=None, actor="ops", reason="once more")
    begin_canary(own_gateway)
    for path in ("/", "/lines/topics", "/lines/topics/versions"):
        page = opened_page(own_gateway, path)
        assert "The judge says inconclusive after" in page.text
        assert "Signal by signal" in page.text
        assert [each for each in page.all("svg") if "log10 of the e-value" in str(each.attributes["aria-label"])]
        assert "taken back" in page.text
    assert page.text.index("Take version 1 back") < page.text.index("The judge says")
    for attempt in Retrying(stop=stop_after_delay(30)):
        with attempt:
            answered(own_gateway, 30, failing=30)
            look(platform, line, datetime.now(UTC))
            assert "The last rollout: version 1, rolled back" in opened_page(own_gateway, "/lines/topics").text
    after = opened_page(own_gateway, "/lines/topics")
    assert "The judge says roll back" in after.text
    assert len(after.values("id")) == len(set(after.values("id")))


def test_the_first_page_begins_with_what_alarms_and_says_of_when_its_figures_are(tmp_path: Path) -> None:
    line = baseline_line(tmp_path)
    known = [line.model_copy(update={"line": name}) for name in ("calm", "moving", "sick")]
    platform = make_platform(tmp_path / "site", compute=InProcess(), lines=lambda: known)
    for each in known:
        assert bootstrap(platform, each) is not None
    now = datetime.now(UTC)
    platform.watch.record(sample(1, now - timedelta(minutes=9), line="sick", status="CRITICAL"))
    with gateway_of(platform, line, engine=IdleEngine()) as made, made.client("viewer", headers=PAGE) as client:
        page = Page(client.get("/").text)
    assert [name for name in page.values("id") if name.startswith("line-")] == ["line-sick", "line-calm", "line-moving"]
    assert re.search(r"Traffic of 5 minutes, sampled \d+ minutes ago", page.text)
    assert "without JavaScript, reload the page to see how they are" in page.text


def test_a_platform_without_lines_or_versions_says_what_to_do(tmp_path: Path) -> None:
    empty = make_platform(tmp_path / "empty")
    line = baseline_line(tmp_path)
    with gateway_of(empty, line, engine=IdleEngine()) as made, made.client("viewer", headers=PAGE) as client:
        assert "No lines yet" in client.get("/").text
        assert "Nothing waits for you" in client.get("/review").text
    fresh = make_platform(tmp_path / "fresh", lines=lambda: [line])
    with gateway_of(fresh, line, engine=IdleEngine()) as made, made.client("viewer", headers=PAGE) as client:
        home = Page(client.get("/").text).text
        assert "Not serving yet" in home
        assert "mlops submit LINE PATH" in home
        assert "Nothing serves yet" in client.get("/lines/topics").text
        assert "No version yet" in client.get("/lines/topics/versions").text


def test_style_and_script_are_kept_by_browsers_and_change_their_address_when_they_change(seen_gateway: Gateway) -> None:
    page = opened_page(seen_gateway, "/")
    with seen_gateway.client("viewer") as client:
        for address in (page.all("link")[1].attributes["href"], page.all("script")[0].attributes["src"]):
            answer = client.get(str(address))
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
        assert client.get("/static/..%2f..%2finference.py").status_code == 404
        assert client.get("/static/login.html").status_code == 404


def test_every_kind_of_entry_that_the_platform_writes_is_told_as_a_sentence() -> None:
    written = set()
    for path in Path(reports.__file__).parent.rglob("*.py"):
        written |= set(re.findall(r"ledger\.append\(\s*\"([a-z_]+)\"", path.read_text(encoding="utf-8")))
    assert {"submitted", "quarantined", "retired"} <= written
    for kind in (*sorted(written), "something_new"):
        entry = LedgerEntry(sequence=1, kind=kind, line="topics", batch_id="b", actor="ann", body={},
                            at="2026-01-01T00:00:00+00:00", previous="0" * 64, hash="1" * 64)  # fmt: skip
        said = told(entry).text
        assert said.endswith("."), kind
        assert "{" not in said, kind


def test_what_people_want_to_read_is_found_behind_any_amount_of_bookkeeping(tmp_path: Path) -> None:
    platform = make_platform(tmp_path)
    assert latest(platform, 2) == []
    for name in ("first", "second", "third"):
        platform.ledger.append("refused", "topics", actor="ann", body={"filename": name}, key=name)
    for number in range(40):
        platform.ledger.append("launch", "topics", actor="sensor", body={}, key=str(number))
    assert [each.text for each in latest(platform, 2)] == [
        "The upload third was refused.",
        "The upload second was refused.",
    ]
    assert len(latest(platform, 10)) == 3
