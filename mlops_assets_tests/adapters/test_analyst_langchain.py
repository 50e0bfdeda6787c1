"""The analyst, by LangChain's real OpenAI client against a server of the same interface on this machine."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from mlops_assets.adapters.analyst_langchain import ANSWER_CHARACTERS, LangChainAnalyst
from mlops_assets.core.policy import Analyst
from mlops_assets.core.records.decision import Exchange
from mlops_assets_tests.chat_server import Provider, provider

__all__ = ["provider"]

pytest.importorskip("langchain_openai", reason="the judge extra is not installed")

SECOND = 1.0
PROMPT = "delta -0.0123, and a secret-of-the-prompt"
SAID = {"recommendation": "REJECT", "reason": "L1 lost 0.02.", "concerns": ["C3"]}


def ask(provider: Provider, purpose: Any = "verdict", **changes: Any) -> Exchange:
    settings = Analyst.model_validate({"model": "openai:m", "base_url": provider.url, **changes})
    return LangChainAnalyst().ask(settings, purpose, PROMPT)


def failed(provider: Provider, **changes: Any) -> Exchange:
    """Ask, and check that the failure is a sentence that tells nothing of key or prompt."""
    found = ask(provider, **changes)
    assert found.reply is None
    assert found.failure.endswith(".")
    assert "not-a-key" not in found.failure
    assert "secret" not in found.failure
    assert found.prompt == PROMPT
    return found


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """Import the client once: a test with a second's limit is about the server."""
    from langchain.chat_models import init_chat_model

    init_chat_model("openai:m", api_key="none")


def test_the_reply_is_typed_and_what_went_over_the_wire_is_kept(provider: Provider):
    provider.content = json.dumps(SAID)
    found = ask(provider)
    assert found.reply is not None
    assert (found.reply.recommendation, found.reply.concerns) == ("REJECT", ("C3",))
    assert (found.prompt, found.answer, found.failure, found.model) == (PROMPT, provider.content, "", "openai:m")
    (asked,) = provider.asked
    assert asked["messages"][-1]["content"] == PROMPT
    assert asked["response_format"]["json_schema"]["schema"]["properties"].keys() == SAID.keys()


@pytest.mark.parametrize("lacks", ["schemas", "temperatures"])
def test_a_server_that_knows_neither_schema_nor_temperature_is_read_from_its_words(provider: Provider, lacks: str):
    setattr(provider, lacks, False)
    provider.content = f"<think>{{so}}</think>Surely:\n```json\n{json.dumps(SAID)}\n```\nThat is all."
    found = ask(provider)
    assert found.reply is not None
    assert found.reply.reason == "L1 lost 0.02."
    assert found.answer == provider.content
    assert len(provider.asked) == 2


def test_words_for_an_alert_are_asked_for_without_a_form(provider: Provider):
    provider.content = "The model lost 0.0123."
    found = ask(provider, purpose="wording")
    assert (found.answer, found.reply, found.failure) == (provider.content, None, "")
    assert "response_format" not in provider.asked[0]


MALFORMED = {
    "empty": "",
    "blank": " \n",
    "prose": "mangoes are lovely",
    "cut": '{"recommendation": "APPROVE", "reason": "be',
    "enum": '{"recommendation": "APPROVED", "reason": ""}',
    "case": '{"recommendation": "approve", "reason": ""}',
    "nan": '{"recommendation": NaN, "reason": NaN}',
    "null": "null",
    "null fields": '{"recommendation": null, "reason": null}',
    "list": '[{"recommendation": "APPROVE", "reason": ""}]x}',
    "nested": '{"reply": {"recommendation": "APPROVE", "reason": ""}}',
    "deep": '{"recommendation": ' * 5_000,
    "extra keys": '{"recommendation": "APPROVE", "reason": "", "verdict": "APPROVE"}',
    "missing key": '{"reason": "good"}',
    "two": '{"recommendation": "REJECT", "reason": ""} {"recommendation": "APPROVE", "reason": ""}',
    "long reason": json.dumps({"recommendation": "APPROVE", "reason": "r" * 2_001}),
    "many concerns": json.dumps({"recommendation": "APPROVE", "reason": "", "concerns": ["c"] * 11}),
    "half a surrogate": '{"recommendation": "APPROVE", "reason": "\\ud800"}',
    "none": None,
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_what_has_not_the_form_is_kept_and_is_no_reply(provider: Provider, content: str | None):
    provider.content = content
    assert failed(provider).answer == (content or "")[:ANSWER_CHARACTERS]


def test_an_answer_that_was_cut_off_is_no_reply(provider: Provider):
    provider.finish_reason, provider.content = "length", '{"recommendation": "REJ'
    failed(provider)


def test_of_a_megabyte_the_first_part_is_kept(provider: Provider):
    provider.content = "APPROVE " * 131_072
    assert failed(provider).answer == provider.content[:ANSWER_CHARACTERS]


def test_half_a_surrogate_pair_is_stored_as_something_else(provider: Provider):
    provider.content = "so \ud800 it is"
    found = failed(provider)
    assert found.answer == "so ? it is"
    assert Exchange.parse(found.canonical_json()) == found


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b"[]", b"null", b'{"choices": []}', b'{"choices": null}'])
def test_a_document_of_another_interface_is_no_reply(provider: Provider, body: bytes):
    provider.body = body
    failed(provider)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_a_refusal_is_told_by_its_status(provider: Provider, status: int):
    provider.status = status
    assert str(status) in failed(provider).failure


def test_a_server_that_was_busy_for_a_moment_is_asked_again(provider: Provider):
    provider.statuses, provider.content = [429], json.dumps(SAID)
    assert ask(provider).reply is not None
    assert len(provider.asked) == 2


def hangs(provider: Provider) -> None:
    provider.released.clear()


def trickles(provider: Provider) -> None:
    provider.trickling = True


def is_busy_for_long(provider: Provider) -> None:
    provider.status, provider.headers = 429, {"Retry-After": "50"}


def is_busy_for_ever(provider: Provider) -> None:
    provider.status, provider.headers = 429, {"Retry-After": "86400"}


@pytest.mark.parametrize("slow", [hangs, trickles, is_busy_for_long, is_busy_for_ever])
def test_nothing_takes_longer_than_it_may(provider: Provider, slow: Callable[[Provider], None]):
    slow(provider)
    begun = time.monotonic()
    found = failed(provider, timeout_seconds=SECOND)
    assert found.seconds <= time.monotonic() - begun < 3 * SECOND
    assert found.answer is None


def test_a_server_that_is_not_there_is_no_reply(provider: Provider):
    failed(provider, base_url="http://127.0.0.1:9/v1")


def test_without_a_key_there_is_no_reply(provider: Provider, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "key" in failed(provider).failure
    assert provider.asked == []


@pytest.mark.parametrize(("model", "says"), [("cohere:command", "langchain-cohere"), ("nobody:gpt", "no provider")])
def test_a_provider_that_cannot_be_used_is_named(provider: Provider, model: str, says: str):
    assert says in failed(provider, model=model).failure
    assert provider.asked == []


def test_a_model_can_be_set_up_without_being_asked(provider: Provider):
    LangChainAnalyst().ready(Analyst(model="openai:m", base_url=provider.url))
    assert provider.asked == []
