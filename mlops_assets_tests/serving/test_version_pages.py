"""Moving a line's versions over HTTP: confirmed, with a reason, once per click, by those who may."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from mlops_assets.core.serving import AccessRole
from mlops_assets.lifecycle.deployment import rollout
from mlops_assets_tests.serving.gateway_fixture import Gateway
from mlops_assets_tests.serving.lived_in import PAGE, Page, lived_in, own_gateway, seen_gateway

__all__ = ["lived_in", "own_gateway", "seen_gateway"]


def confirmed(gateway: Gateway, path: str, role: AccessRole = "reviewer") -> dict[str, str]:
    """Open a confirmation and return what its form sends, but for the reason."""
    with gateway.client(role, headers=PAGE) as client:
        page = client.get(path)
        assert page.status_code == 200, page.text
        return Page(page.text).fields()


def posted(gateway: Gateway, verb: str, form: dict[str, str], role: AccessRole = "reviewer") -> httpx.Response:
    with gateway.client(role, headers=PAGE) as client:
        return client.post(f"/lines/topics/{verb}", data=form)


def moves(gateway: Gateway) -> list[str]:
    kinds = ("deployed", "advanced", "promoted", "rolled_back", "retired")
    return [entry.kind for entry in gateway.platform.ledger.entries("topics") if entry.kind in kinds]


def production(gateway: Gateway) -> int:
    return gateway.platform.versions.pointer("topics").roles["production"]


def test_rolling_back_is_confirmed_with_a_reason_and_a_second_click_does_nothing(own_gateway: Gateway) -> None:
    with own_gateway.client("reviewer", headers=PAGE) as client:
        versions = Page(client.get("/lines/topics/versions").text)
    assert "/lines/topics/rollback?version=1" in versions.values("href")
    form = confirmed(own_gateway, "/lines/topics/rollback?version=1") | {"reason": "answers slowly"}
    assert production(own_gateway) == 2
    with ThreadPoolExecutor(3) as clicks:
        answers = list(clicks.map(lambda _: posted(own_gateway, "rollback", form), range(3)))
    assert [each.status_code for each in answers] == [303] * 3
    assert answers[0].headers["location"] == "/lines/topics/versions"
    assert (production(own_gateway), moves(own_gateway)) == (1, ["rolled_back"])
    live = own_gateway.platform.serving.live("topics")
    assert live is not None
    assert live.production.version == 1
    with own_gateway.client("viewer", headers=PAGE) as client:
        told = Page(client.get("/lines/topics/versions").text).text
    assert "rolled back by reviewer answers slowly" in told


def test_a_confirmation_of_how_things_were_is_refused(own_gateway: Gateway) -> None:
    form = confirmed(own_gateway, "/lines/topics/rollback") | {"reason": "slow"}
    rollout.rollback(own_gateway.platform, own_gateway.line, to=None, reason="errors", actor="ops")
    late = posted(own_gateway, "rollback", form)
    assert late.status_code == 409
    assert "topics moved since you looked: it was rolled back by ops" in Page(late.text).text
    assert (production(own_gateway), moves(own_gateway)) == (1, ["rolled_back"])


def test_a_move_needs_a_reason(own_gateway: Gateway) -> None:
    form = confirmed(own_gateway, "/lines/topics/rollback")
    with own_gateway.client("reviewer") as client:
        for reason in ({}, {"reason": ""}, {"reason": " "}):
            missing = posted(own_gateway, "rollback", form | reason)
            assert missing.status_code == 422
            assert "reason" in Page(missing.text).text
            assert client.post("/v1/lines/topics/rollback", json=reason).status_code == 422
    assert moves(own_gateway) == []


@pytest.mark.parametrize(
    ("verb", "role"),
    [("rollback", "contributor"), *((verb, "reviewer") for verb in ("deploy", "advance", "promote", "retire"))],
)
def test_who_may_not_is_refused_by_page_and_machine_alike(seen_gateway: Gateway, verb: str, role: AccessRole) -> None:
    with seen_gateway.client(role) as client:
        body: dict[str, Any] = {"reason": "because", "version": 1}
        assert client.post(f"/v1/lines/topics/{verb}", json=body).status_code == 403
        assert client.post(f"/lines/topics/{verb}", data=body, headers=PAGE).status_code == 403
        assert client.get(f"/lines/topics/{verb}", params={"version": 1}, headers=PAGE).status_code == 403
        shown = Page(client.get("/lines/topics/versions", headers=PAGE).text)
    assert not [href for href in shown.values("href") if f"/lines/topics/{verb}" in href]
    assert moves(seen_gateway) == []


def test_a_person_whose_key_does_not_do_is_told_why_and_may_give_another(seen_gateway: Gateway) -> None:
    with seen_gateway.client("viewer", headers=PAGE) as client:
        refused = client.get("/lines/topics/rollback?version=1")
    assert refused.status_code == 403
    assert "viewer has the role viewer; this needs reviewer." in Page(refused.text).text
    assert Page(refused.text).fields()["to"] == "/lines/topics/rollback?version=1"
    with httpx.Client(base_url=seen_gateway.url, headers=PAGE) as nobody:
        ended = nobody.post("/review/decision", data={"approve": "true", "reason": "a session that ended meanwhile"})
    assert (ended.status_code, Page(ended.text).fields()["to"]) == (401, "/review/decision")


def test_a_canary_is_shown_step_by_step_and_moved_by_an_admin(own_gateway: Gateway) -> None:
    rollout.rollback(own_gateway.platform, own_gateway.line, to=None, reason="slow", actor="ops")
    deploy = confirmed(own_gateway, "/lines/topics/deploy?version=2", "admin")
    deploy |= {"strategy": "canary", "reason": "mended"}
    assert posted(own_gateway, "deploy", deploy, "admin").status_code == 303
    with own_gateway.client("admin", headers=PAGE) as client:
        home, versions = Page(client.get("/").text), Page(client.get("/lines/topics/versions").text)
    assert "Version 2 is on its way step by step: it answers 10 % of users" in home.text
    assert [each.attributes["value"] for each in home.all("progress")] == ["0.1"]
    assert "Go on to 25 %" in versions.text
    advance = confirmed(own_gateway, "/lines/topics/advance", "admin") | {"reason": "looks well"}
    for _ in range(2):
        assert posted(own_gateway, "advance", advance, "admin").status_code == 303
    pointer = own_gateway.platform.versions.pointer("topics")
    assert pointer.rollout is not None
    assert pointer.rollout.share == 0.25
    with own_gateway.client("admin") as client:
        promoted = client.post(
            "/v1/lines/topics/promote", json={"reason": "well enough", "revision": pointer.revision}
        ).json()
        assert (promoted["roles"]["production"], promoted["rollout"]) == (2, None)
        assert client.post("/v1/lines/topics/retire", json={"version": 1, "reason": "old"}).status_code == 409
        stale = client.post("/v1/lines/topics/promote", json={"reason": "other", "revision": pointer.revision})
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "stale")
    assert moves(own_gateway) == ["rolled_back", "deployed", "advanced", "promoted"]


def test_a_rollout_is_taken_back_by_a_reviewer(own_gateway: Gateway) -> None:
    rollout.rollback(own_gateway.platform, own_gateway.line, to=None, reason="slow", actor="ops")
    with own_gateway.client("admin") as client:
        begun = client.post(
            "/v1/lines/topics/deploy", json={"version": 2, "strategy": "canary", "reason": "once more"}
        ).json()
    assert begun["rollout"]["share"] == 0.1
    form = confirmed(own_gateway, "/lines/topics/rollback") | {"reason": "worse"}
    assert "version" not in form
    assert posted(own_gateway, "rollback", form).status_code == 303
    pointer = own_gateway.platform.versions.pointer("topics")
    assert (pointer.roles["production"], pointer.rollout) == (1, None)


@pytest.mark.parametrize(
    "path", ["rollback?version=9", "deploy?version=9", "deploy", "retire", "advance", "promote", "nothing"]
)
def test_what_cannot_be_confirmed_is_not_found(seen_gateway: Gateway, path: str) -> None:
    with seen_gateway.client("admin", headers=PAGE) as client:
        answer = client.get(f"/lines/topics/{path}")
    assert answer.status_code == 404


def test_machines_read_versions_roles_and_what_served_when(seen_gateway: Gateway) -> None:
    with seen_gateway.client("viewer") as client:
        (line,) = client.get("/v1/lines").json()
        versions = client.get("/v1/lines/topics/versions").json()
        unknown = client.get("/v1/lines/none/versions")
    assert (line["line"], line["roles"]) == ("topics", {"production": 2, "previous": 1})
    assert [each["version"] for each in versions["versions"]] == [1, 2]
    assert [each["event"] for each in versions["history"]] == ["bootstrapped", "released"]
    assert (unknown.status_code, "The lines are: topics" in unknown.json()["error"]["message"]) == (404, True)
