"""A language model that is asked about a decision; whatever it does, the decision goes on without it."""

import time
from typing import Any, Literal

from pydantic import ValidationError

from mlops_assets.adapters.chat_langchain import chat_model, in_time
from mlops_assets.core.errors import PlatformError
from mlops_assets.core.policy import Analyst
from mlops_assets.core.records import AnalystReply, Exchange

WHAT = "The analyst"
ANSWER_CHARACTERS = 20_000


class LangChainAnalyst:
    """Fills `Analyst`; keys of providers come from the environment, as their packages want them."""

    def ready(self, settings: Analyst) -> None:
        """Set the model up without asking it anything; raises what is missing."""
        _model(settings)

    def ask(self, settings: Analyst, purpose: Literal["verdict", "wording"], prompt: str) -> Exchange:
        """Return what was asked and what came back, within the settings' time; nothing is raised."""
        begun = time.monotonic()
        answer, reply, failure = None, None, ""
        try:
            answer = in_time(lambda: _text(_model(settings).invoke(prompt)), settings.timeout_seconds, what=WHAT)
            reply = AnalystReply.parse(answer) if purpose == "verdict" else None
        except ValidationError as error:
            failure = f"{settings.model} did not answer in the form it was asked for ({error.error_count()} errors)."
        except PlatformError as error:
            failure = error.what
        except Exception as error:  # each provider's client has errors of its own, and their texts quote what was sent
            failure = f"{settings.model} did not answer ({type(error).__name__})."
        return Exchange(
            purpose=purpose,
            model=settings.model,
            prompt=prompt,
            answer=None if answer is None else answer[:ANSWER_CHARACTERS],
            reply=reply,
            failure=failure,
            seconds=time.monotonic() - begun,
        )


def _model(settings: Analyst) -> Any:
    return chat_model(settings.model, base_url=settings.base_url, timeout_seconds=settings.timeout_seconds, what=WHAT)


def _text(message: Any) -> str:
    return message.text if isinstance(message.text, str) else str(message.content)
