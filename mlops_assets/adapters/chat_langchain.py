"""Chat models of any provider that LangChain's `init_chat_model` knows, made, asked and read in one way.

A provider is a stranger: it may be slow, busy, gone or wrong. Its client's own limit is one of silence, and a server
may trickle; so whatever is asked of it stands under one deadline. Its errors quote what was sent, keys included; so
only their type is told.
"""

import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from mlops_assets.core.errors import ConfigError, MissingExtra, PlatformError, Unavailable

RETRIES = 1
NOT_SUPPORTED = (400, 404, 422)  # how servers refuse what they do not know: a schema, a temperature
END_OF_THOUGHT = "</think>"
Form = TypeVar("Form", bound=BaseModel)
Answer = TypeVar("Answer")


def chat_model(
    model: str, *, base_url: str | None, timeout_seconds: float, what: str, temperature: float | None = 0
) -> Any:
    """Return a LangChain chat model; `what` says in errors whose it is, such as 'the data judge'.

    Unavailable without a key; MissingExtra if a package is absent; ConfigError for an unknown provider.
    """
    options: dict[str, Any] = {"timeout": timeout_seconds, "max_retries": RETRIES}
    options |= {} if temperature is None else {"temperature": temperature}
    options |= {"base_url": base_url} if base_url else {}
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise MissingExtra(f"{what} needs the package langchain.", "pip install 'mlops_assets[judge]'") from error
    try:
        return init_chat_model(model, **options)
    except ImportError as error:
        raise MissingExtra(
            f"{what} {model} needs a package that is not installed. {str(error).rstrip('.')}.",
            "Or take it out of the line's YAML.",
        ) from error
    except Exception as error:  # without a key each provider refuses in its own way
        if isinstance(error, ValueError) and "provider" in str(error):
            raise ConfigError(
                f"LangChain knows no provider for {what} '{model}'.",
                "Write it as provider:model, such as openai:gpt-4o or google_genai:gemini-1.5-pro.",
            ) from error
        raise Unavailable(f"{model} cannot be used ({type(error).__name__}): its key may be missing.") from error


@dataclass(frozen=True)
class Said:
    """What a model answered, and the tokens that its provider counts for it (0 where it does not say)."""

    text: str
    input_tokens: int
    output_tokens: int


def ask(
    model: str, asked: Any, *, form: type[BaseModel] | None, base_url: str | None, timeout_seconds: float, what: str
) -> Said:
    """Return a model's answer to a prompt or messages, within `timeout_seconds`, retries included.

    Where the provider can be held to a schema, the text is JSON of `form`'s; where not, it is whatever was said, and
    `read` finds the form in it. Raises what `chat_model` does; Unavailable if there is no answer.
    """

    def made(**options: Any) -> Any:
        return chat_model(model, base_url=base_url, timeout_seconds=timeout_seconds, what=what, **options)

    def work() -> Said:
        try:
            if form is not None:
                try:
                    held = made().with_structured_output(form.model_json_schema(), include_raw=True)
                    # Its first step is the model; the parsers behind it take minutes of CPU for a megabyte of garbage.
                    return _said(held.first.invoke(asked)["raw"])
                except Exception as error:
                    if not _not_supported(error):
                        raise
            return _said(made(temperature=None).invoke(asked))
        except PlatformError:
            raise
        except Exception as error:  # each provider's client has errors of its own
            status = getattr(error, "status_code", None)
            told = f"{type(error).__name__}, HTTP {status}" if isinstance(status, int) else type(error).__name__
            raise Unavailable(f"{model} did not answer ({told}).") from error

    return in_time(work, timeout_seconds, what=what)


def read(text: str, form: type[Form]) -> Form:
    """Return the one JSON object of an answer, which may stand in prose or a code block; pydantic's ValidationError."""
    said = text.rpartition(END_OF_THOUGHT)[2]
    return form.model_validate_json(said[said.find("{") : said.rfind("}") + 1] or said)


def in_time(work: Callable[[], Answer], seconds: float, *, what: str) -> Answer:
    """Return what `work` gives within `seconds`, else raise Unavailable; what it raises is raised here."""
    answer: Future[Answer] = Future()

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


def _said(message: Any) -> Said:
    used = getattr(message, "usage_metadata", None) or {}
    return Said(_text(message), used.get("input_tokens", 0), used.get("output_tokens", 0))


def _text(message: Any) -> str:
    """Return what a message says; for a provider that is held to a schema by a tool, what it calls the tool with."""
    calls = getattr(message, "tool_calls", None)
    return json.dumps(calls[0]["args"]) if calls else str(message.text)


def _not_supported(error: Exception) -> bool:
    return isinstance(error, NotImplementedError) or getattr(error, "status_code", None) in NOT_SUPPORTED
