"""A browser's way in: the form, the cookie, and what other sites' pages cannot do with it."""

from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from mlops_assets.core.errors import UsageError
from mlops_assets.lifecycle import keys
from mlops_assets.serving.app import build
from mlops_assets.serving.door.access import Caller, Keyring
from mlops_assets.serving.door.login import own_path
from mlops_assets.serving.door.sessions import Sessions
from mlops_assets_tests.serving.door.test_door import until
from mlops_assets_tests.serving.gateway_fixture import Gateway, IdleEngine, idle_gateway, serving

__all__ = ["idle_gateway"]
PAGE = {"Accept": "text/html,application/xhtml+xml"}


def browser(gateway: Gateway) -> httpx.Client:
    """A client that keeps cookies, asks for pages and tells its origin."""
    return httpx.Client(base_url=gateway.url, headers={**PAGE, "Origin": gateway.url})


def test_a_person_without_a_key_is_shown_the_form_of_every_page(idle_gateway: Gateway) -> None:
    with browser(idle_gateway) as person:
        answer = person.get("/lines/topics/versions?all=1&x=<script>")
        assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
        assert '<form method="post" action="/login">' in answer.text
        assert "/lines/topics/versions?all=1" in answer.text
        assert "<script" not in answer.text


def test_a_key_is_given_once_and_a_cookie_stands_for_it(idle_gateway: Gateway) -> None:
    secret = idle_gateway.keys["reviewer"]
    with browser(idle_gateway) as person:
        answer = person.post("/login", data={"key": secret, "to": "/review?x=1"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/review?x=1")
        cookie = answer.headers["set-cookie"]
        assert {"Path=/", "HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
        assert secret not in cookie
        assert secret.removeprefix("mlops_") not in cookie
        assert person.get("/pipeline/status").status_code == 200
        assert person.post("/v1/lines/topics/deploy", json={}).status_code == 403  # a reviewer's role, still
        assert person.post("/logout").status_code == 303
        assert person.get("/pipeline/status").status_code == 401
        kept = {"Cookie": cookie.partition(";")[0]}
        assert person.get("/pipeline/status", headers=kept).status_code == 401  # a copy of it ends, too


@pytest.mark.parametrize(
    ("headers", "let_through"),
    [
        ({"Origin": "https://elsewhere.example"}, False),
        ({"Origin": "null"}, False),
        ({}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
    ],
)
def test_a_cookie_changes_nothing_from_another_sites_page(
    idle_gateway: Gateway, headers: dict[str, str], let_through: bool
) -> None:
    with httpx.Client(base_url=idle_gateway.url) as person:
        form = {"key": idle_gateway.keys["contributor"]}
        assert person.post("/login", data=form, headers={"Origin": idle_gateway.url}).status_code == 303
        answer = person.post("/pipeline/collect/feedback?line=topics", json={"rating": 4}, headers=headers)
        assert answer.status_code == (200 if let_through else 403)
        assert person.get("/pipeline/status", headers=headers).status_code == 200


def test_another_sites_page_cannot_log_anybody_in(idle_gateway: Gateway) -> None:
    form = {"key": idle_gateway.keys["admin"]}
    with httpx.Client(base_url=idle_gateway.url) as person:
        assert person.post("/login", data=form, headers={"Origin": "https://elsewhere.example"}).status_code == 403
        assert not person.cookies


def test_a_wrong_key_is_told_on_the_form(idle_gateway: Gateway) -> None:
    with browser(idle_gateway) as person:
        answer = person.post("/login", data={"key": "mlops_" + "0" * 64})
        assert answer.status_code == 401
        assert "wrong" in answer.text
        assert "set-cookie" not in answer.headers
        assert person.post("/login", content=b"x" * 5_000).status_code == 413


def test_a_session_ends_with_its_key(idle_gateway: Gateway) -> None:
    secret, _ = keys.issue(idle_gateway.platform, "guest", "viewer", days=1, actor="tests")
    with browser(idle_gateway) as person:
        until(lambda: person.post("/login", data={"key": secret}).status_code == 303)
        assert person.get("/pipeline/status").status_code == 200
        keys.revoke(idle_gateway.platform, "guest", actor="tests")
        until(lambda: person.get("/pipeline/status").status_code == 401)
        keys.issue(idle_gateway.platform, "guest", "admin", days=1, actor="tests")
        assert person.get("/pipeline/status").status_code == 401


def test_sessions_of_one_home_outlive_a_restart_and_no_other_home_makes_them(
    idle_gateway: Gateway, tmp_path: Path
) -> None:
    home = idle_gateway.platform.home
    ring = Keyring()
    ring.replace(idle_gateway.platform.keys.list())
    token = Sessions(home, ring).begin(Caller("admin", "admin"))
    assert token is not None
    assert Sessions(home, ring).caller(token) == Caller("admin", "admin")
    assert Sessions(tmp_path, ring).caller(token) is None
    assert (home / "gateway" / "session.key").stat().st_mode & 0o077 == 0
    name, ends, sign = token.split(".")
    for forged in (f"{name}.{int(ends) + 1}.{sign}", f"dmlld2Vy.{ends}.{sign}", f"{name}.{ends}.", f"{name}.x.{sign}"):
        assert Sessions(home, ring).caller(forged) is None


def test_who_logs_out_is_logged_out_at_every_gateway_of_the_home(idle_gateway: Gateway) -> None:
    platform = idle_gateway.platform
    ended = platform.home / "gateway" / "ended"

    def another() -> AbstractContextManager[str]:
        return serving(build(platform, engine=IdleEngine(), access_log=platform.home / "another.log"))

    with browser(idle_gateway) as person:
        with another() as url:
            assert person.post("/login", data={"key": idle_gateway.keys["viewer"]}).status_code == 303
            assert person.get(f"{url}/pipeline/status").status_code == 200
            kept = dict(person.cookies)
            assert person.post("/logout").status_code == 303
            person.cookies.update(kept)  # as whoever copied it would
            assert person.get(f"{url}/pipeline/status").status_code == 401
        with another() as url:
            assert person.get(f"{url}/pipeline/status").status_code == 401
    before = len(list(ended.iterdir()))
    with idle_gateway.client("viewer") as client:
        for token in ("YWRtaW4=.9999999999.../../escaped", "x" * 5_000, ""):
            assert client.post("/logout", headers={"Cookie": f"mlops_session={token}"}).status_code == 303
    assert len(list(ended.iterdir())) == before


@pytest.mark.parametrize("name", ["ann\n", "ann b", "", "-ann", "a" * 65, "<b>ann</b>", "ann\x1b[2J", "änn"])
def test_a_name_that_becomes_an_actor_of_the_ledger_is_one_plain_word(idle_gateway: Gateway, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        keys.issue(idle_gateway.platform, name, "viewer", days=None, actor="tests")


@pytest.mark.parametrize(
    "to", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "x", "/a\nb", "//[::1"]
)
def test_a_login_leads_nowhere_else(to: str) -> None:
    assert own_path(to) == "/"
