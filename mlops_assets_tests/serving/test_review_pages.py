"""Reviews over HTTP: the queue, the evidence, the samples, and an answer that counts once."""

import re
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import httpx
import pytest

from mlops_assets.components.sensors import next_step
from mlops_assets.core.dataset import write_items
from mlops_assets.core.records.data import Item, ValidatedData
from mlops_assets.lifecycle.decide import decide
from mlops_assets.lifecycle.deployment import rollout
from mlops_assets.serving.pages.samples import samples
from mlops_assets_tests.lifecycle.decide.evaluated import LINE, open_platform, put_evaluated, serve
from mlops_assets_tests.lifecycle.decide.evidences import evidence
from mlops_assets_tests.serving.gateway_fixture import Gateway, IdleEngine, gateway_of
from mlops_assets_tests.serving.lived_in import (
    PAGE,
    Page,
    asked,
    hired,
    lived_in,
    own_gateway,
    seen_gateway,
)

__all__ = ["lived_in", "own_gateway", "seen_gateway"]
YES = {"approve": "true", "reason": "read every text"}


def posted(gateway: Gateway, form: dict[str, str], role: str = "reviewer") -> httpx.Response:
    with gateway.client(role) as client:  # pyright: ignore[reportArgumentType]
        return client.post(f"/review/{asked(gateway)}", data=form, headers=PAGE)


def reviewed(gateway: Gateway) -> list[str]:
    return [entry.actor for entry in gateway.platform.ledger.entries("topics", "reviewed")]


def test_the_queue_leads_to_evidence_that_says_what_would_have_to_be_true(seen_gateway: Gateway) -> None:
    with seen_gateway.client("viewer", headers=PAGE) as client:
        queue = Page(client.get("/review").text)
        assert f"/review/{asked(seen_gateway)}" in queue.values("href")
        assert "ago" in queue.text
        shown = Page(client.get(f"/review/{asked(seen_gateway)}").text)
    (question,) = seen_gateway.platform.reviews.list()
    decision = seen_gateway.platform.records.get("topics", question.batch_id, "decision")
    assert decision is not None
    for said in ("Shall batch", "What would have to be true", "The candidate is worse on these", "6 of 6 items"):
        assert said in shown.text
    changed = samples(seen_gateway.platform, "topics", question.batch_id, "baseline")
    assert {each.origin for each in (*changed.worse, *changed.better)} == {"synthetic"}
    assert "svg" in {each.tag for each in shown.elements}
    assert "only. A reviewer answers" in shown.text
    assert not shown.all("textarea")


@pytest.mark.parametrize("part", ["evidence", "evaluation"])
def test_the_recorded_pages_are_served_whole_and_may_run_nothing(seen_gateway: Gateway, part: str) -> None:
    with seen_gateway.client("viewer") as client:
        answer = client.get(f"/review/{asked(seen_gateway)}/{part}")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<svg" in answer.text


def test_clicking_twice_at_once_answers_once_and_shows_the_same_page(own_gateway: Gateway) -> None:
    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(lambda _: posted(own_gateway, YES), range(2)))
    assert [each.status_code for each in answers] == [303, 303]
    assert posted(own_gateway, YES).headers["location"] == f"/review/{asked(own_gateway)}"
    assert reviewed(own_gateway) == ["reviewer"]
    with own_gateway.client("viewer", headers=PAGE) as client:
        shown = Page(client.get(f"/review/{asked(own_gateway)}").text)
    assert "reviewer approved it at" in shown.text
    assert "the daemon of `mlops up` releases its model within a minute" in shown.text
    assert not shown.all("textarea")


@pytest.mark.parametrize("approve", ["true", "false"])
def test_the_daemon_takes_up_what_was_answered_over_http(own_gateway: Gateway, approve: str) -> None:
    (review,) = own_gateway.platform.reviews.list()
    with dg.DagsterInstance.ephemeral() as instance:
        _, waiting = next_step(own_gateway.platform, own_gateway.line, instance, after=0)
        assert waiting is None
        assert posted(own_gateway, {**YES, "approve": approve}).status_code == 303
        _, step = next_step(own_gateway.platform, own_gateway.line, instance, after=0)
    assert step is not None
    assert (step[0], step[1].partition("-")[0]) == (review.batch_id, "settle")


def test_another_answer_than_the_first_is_told_who_was_first(own_gateway: Gateway) -> None:
    posted(own_gateway, YES)
    late = posted(own_gateway, {"approve": "false", "reason": "too few"})
    assert late.status_code == 409
    assert "reviewer approved decision" in Page(late.text).text
    with own_gateway.client("reviewer") as client:
        again = client.post(f"/v1/reviews/{asked(own_gateway)}", json={"approve": False, "reason": "too few"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "refused")
    assert re.search(r"[^.]\. The first answer stands\.", again.json()["error"]["message"])
    assert reviewed(own_gateway) == ["reviewer"]


def test_a_question_that_production_moved_away_from_is_stale_and_says_why(own_gateway: Gateway) -> None:
    rollout.rollback(own_gateway.platform, own_gateway.line, to=None, reason="slow", actor="ops")
    stale = posted(own_gateway, YES)
    assert stale.status_code == 409
    assert "topics serves version 1 now; the question was about version 2" in Page(stale.text).text
    with own_gateway.client("reviewer", headers=PAGE) as client:
        shown = Page(client.get(f"/review/{asked(own_gateway)}").text)
    assert "It cannot be answered now" in shown.text
    assert not shown.all("textarea")


def test_nobody_answers_on_their_own_batch(own_gateway: Gateway) -> None:
    ann = hired(own_gateway, "Ann")  # the batch is from "ann"
    refused = posted(ann, YES)
    assert refused.status_code == 403
    assert "Ann contributed to batch" in Page(refused.text).text
    with ann.client("reviewer") as client:
        shown = Page(client.get(f"/review/{asked(ann)}", headers=PAGE).text)
        assert "You have a part in this batch, so somebody else answers." in shown.text
        assert not shown.all("textarea")
        said = client.post(f"/v1/reviews/{asked(ann)}", json={"approve": True, "reason": "mine"}).json()["error"]
    assert said["code"] == "forbidden"
    assert reviewed(own_gateway) == []


def test_an_answer_needs_a_reason(own_gateway: Gateway) -> None:
    nothing = ({}, {"reason": ""}, {"reason": "  \n"}, {"reason": "\u200b"})
    for reason in nothing:
        missing = posted(own_gateway, {"approve": "true", **reason})
        assert missing.status_code == 422
        assert "reason" in Page(missing.text).text
    with own_gateway.client("reviewer") as client:
        address = f"/v1/reviews/{asked(own_gateway)}"
        for reason in nothing:
            assert client.post(address, json={"approve": True, **reason}).status_code == 422
        extra = {"approve": True, "reason": "ok", "reviewer": "somebody else"}
        assert client.post(address, json=extra).status_code == 422
    assert reviewed(own_gateway) == []


def test_only_a_reviewer_answers(own_gateway: Gateway) -> None:
    for role in ("viewer", "contributor"):
        assert posted(own_gateway, YES, role).status_code == 403
    assert reviewed(own_gateway) == []


def test_another_site_cannot_answer_with_a_reviewers_cookie(own_gateway: Gateway) -> None:
    with httpx.Client(base_url=own_gateway.url, headers=PAGE) as browser:
        home = {"Sec-Fetch-Site": "same-origin"}
        browser.post("/login", data={"key": own_gateway.keys["reviewer"]}, headers=home)
        assert browser.get("/review").status_code == 200
        for elsewhere in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {}):
            forged = browser.post(f"/review/{asked(own_gateway)}", data=YES, headers=elsewhere)
            assert forged.status_code == 403
        assert reviewed(own_gateway) == []
        assert browser.post(f"/review/{asked(own_gateway)}", data=YES, headers=home).status_code == 303


def test_machines_list_show_and_answer_what_people_see(own_gateway: Gateway) -> None:
    with own_gateway.client("reviewer") as client:
        (waiting,) = client.get("/v1/reviews").json()
        assert waiting["open"]
        assert waiting["to_approve"]
        answered = client.post(f"/v1/reviews/{waiting['decision_id']}", json={"approve": False, "reason": "too few"})
        assert (answered.status_code, answered.json()["open"]) == (200, False)
        assert client.get("/v1/reviews").json() == []
        (closed,) = client.get("/v1/reviews", params={"closed": True}).json()
    assert closed["closed"].startswith("reviewer rejected it")
    assert closed["answer"]["reason"] == "too few"


def test_a_recording_is_served_as_what_it_is_and_nothing_else_is(tmp_path: Path) -> None:
    platform = open_platform(tmp_path)
    serve(platform, "a" * 64)
    small = evidence(kept=8)
    put_evaluated(platform, small)
    data = platform.records.get(LINE.line, small.batch_id, "validated_data")
    assert isinstance(data, ValidatedData)
    folder = tmp_path / "dataset"
    (folder / "audio").mkdir(parents=True)
    with wave.open(str(folder / "audio" / "one.wav"), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(bytes(3_200))
    (folder / "audio" / "page.html").write_text("<script>alert(1)</script>")
    paths = {
        "a/one": "audio/one.wav",
        "page": "audio/page.html",
        "outside": "../../platform.db",
        "gone": "audio/no.wav",
    }
    items = [Item(id=name, path=path, target="hello", cluster="kal") for name, path in paths.items()]
    write_items(folder, [*items, Item(id="text", value="hello", target="hello", cluster="kal")])
    dataset = platform.store.put_folder(folder)
    platform.records.put("validated_data", data.model_copy(update={"dataset": dataset, "kept": 8}))
    decision = decide(platform, LINE, small.batch_id)
    with gateway_of(platform, LINE, engine=IdleEngine()) as gateway, gateway.client("viewer") as client:
        base = f"/review/{decision.decision_id}/samples"
        page = Page(client.get(f"/review/{decision.decision_id}", headers=PAGE).text)
        assert f"{base}/batch/a/one" in page.values("src")
        sound = client.get(f"{base}/batch/a/one")
        assert sound.headers["content-type"] == "audio/wav"
        assert sound.headers["x-content-type-options"] == "nosniff"
        assert sound.headers["content-disposition"].startswith("inline")
        assert "sandbox" in sound.headers["content-security-policy"]
        assert len(sound.content) == 3_244
        part = client.get(f"{base}/batch/a/one", headers={"Range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, b"RIFF")
        for wrong in (
            "batch/page",
            "batch/outside",
            "batch/gone",
            "batch/text",
            "batch/none",
            "other/a/one",
            "sealed/x",
        ):
            assert client.get(f"{base}/{wrong}").status_code == 404, wrong
