"""The challenger, by LangChain's real OpenAI client against a server of the same interface on this machine."""

import json
from typing import Any

import pytest

from mlops_assets.adapters.challenger_langchain import LangChainChallengers
from mlops_assets.core.line import Challenger
from mlops_assets_tests.chat_server import Provider, provider

__all__ = ["provider"]

pytest.importorskip("langchain_openai", reason="the judge extra is not installed")

LABELS = ("rag_query", "chitchat")


def settings(provider: Provider, **changes: Any) -> Challenger:
    values = {"model": "openai:m", "base_url": provider.url, "instruction": "Say what the message wants.", **changes}
    return Challenger.model_validate(values)


def test_it_is_told_the_labels_and_its_tokens_have_a_price(provider: Provider):
    provider.content = json.dumps({"label": " Chitchat"})
    rival = LangChainChallengers().answer(settings(provider, input_price=1e6, output_price=3e6), "hello!", LABELS)
    assert (rival.label, rival.failure) == ("chitchat", "")
    assert (rival.input_tokens, rival.output_tokens, rival.cost) == (1, 1, 4.0)
    assert rival.latency_ms > 0
    system, user = provider.asked[0]["messages"]
    assert "Say what the message wants." in system["content"]
    assert "rag_query, chitchat" in system["content"]
    assert user["content"] == "hello!"


@pytest.mark.parametrize("content", ["", "chitchat", '{"label": 3}', '{"label": "other"}', "{", "null", "[" * 10_000])
def test_garbage_is_no_answer_and_no_error(provider: Provider, content: str):
    provider.content = content
    rival = LangChainChallengers().answer(settings(provider), "hello!", LABELS)
    assert rival.label is None
    assert rival.failure


def test_a_provider_that_is_silent_costs_its_time_limit_at_most(provider: Provider):
    provider.released.clear()
    rival = LangChainChallengers().answer(settings(provider, timeout_seconds=0.2), "hello!", LABELS)
    assert rival.label is None
    assert "0.2 s" in rival.failure or "did not answer" in rival.failure
    assert rival.latency_ms < 5_000


def test_a_provider_that_refuses_is_no_answer(provider: Provider):
    provider.status = 401
    rival = LangChainChallengers().answer(settings(provider), "hello!", LABELS)
    assert rival.label is None
    assert "401" in rival.failure
