"""Chat models of any provider that LangChain's `init_chat_model` knows, made and waited for in one way.

A provider is a stranger: it may be slow, busy, gone or wrong. Its client's own limit is one of silence, and a server
may trickle; so whatever is asked of it stands under one deadline.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from mlops_assets.core.errors import ConfigError, MissingExtra, Unavailable

RETRIES = 1


def chat_model(model: str, *, base_url: str | None, timeout_seconds: float, what: str) -> Any:
    """Return a LangChain chat model; `what` says in errors whose it is, such as 'the data judge'.

    Unavailable without a key; MissingExtra if a package is absent; ConfigError for an unknown provider.
    """
    options: dict[str, Any] = {"timeout": timeout_seconds, "max_retries": RETRIES, "temperature": 0}
    if base_url:
        options["base_url"] = base_url
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise MissingExtra(f"{what} needs the package langchain.", "pip install 'mlops_assets[judge]'") from error
    try:
        return init_chat_model(model, **options)
    except ImportError as error:
        raise MissingExtra(
            f"{what} {model} needs a package that is not installed. {error}", "Or take it out of the line's YAML."
        ) from error
    except Exception as error:  # without a key each provider refuses in its own way
        if isinstance(error, ValueError) and "provider" in str(error):
            raise ConfigError(
                f"LangChain knows no provider for {what} '{model}'.",
                "Write it as provider:model, such as openai:gpt-4o or google_genai:gemini-1.5-pro.",
            ) from error
        raise Unavailable(f"{model} cannot be used ({type(error).__name__}); is its key set?") from error


def in_time(work: Callable[[], Any], seconds: float, *, what: str) -> Any:
    """Return what `work` gives within `seconds`, else raise Unavailable; what it raises is raised here."""
    answer: Future[Any] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=run, name=what, daemon=True).start()
    try:
        return answer.result(timeout=seconds)
    except TimeoutError:
        raise Unavailable(f"{what} gave no answer within {seconds:g} s.") from None
