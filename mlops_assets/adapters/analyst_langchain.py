"""A language model that is asked about a decision; whatever it does, the decision goes on without it."""

import time
from typing import Literal

from pydantic import ValidationError

from mlops_assets.adapters.chat_langchain import ask, chat_model, read
from mlops_assets.core.errors import PlatformError
from mlops_assets.core.policy import Analyst
from mlops_assets.core.records.decision import AnalystReply, Exchange

WHAT = "The analyst"
ANSWER_CHARACTERS = 20_000


class LangChainAnalyst:
    """Fills `Analyst`; keys of providers come from the environment, as their packages want them."""

    def ready(self, settings: Analyst) -> None:
        """Set the model up without asking it anything; raises what is missing."""
        chat_model(settings.model, base_url=settings.base_url, timeout_seconds=settings.timeout_seconds, what=WHAT)

    def ask(self, settings: Analyst, purpose: Literal["verdict", "wording"], prompt: str) -> Exchange:
        """Return what was asked and what came back, within the settings' time; nothing is raised."""
        begun = time.monotonic()
        answer, reply, failure = None, None, ""
        try:
            answer = _asked(settings, purpose, prompt)
            reply = read(answer, AnalystReply) if purpose == "verdict" else None
        except ValidationError as error:
            failure = f"{settings.model} did not answer in the form it was asked for ({error.error_count()} errors)."
        except PlatformError as error:
            failure = error.what
        except Exception as error:  # a stranger's answer is no reason for a decision to fail
            failure = f"{settings.model} gave an answer that cannot be read ({type(error).__name__})."
        if answer is not None and not answer.strip():
            failure = f"{settings.model} gave an empty answer."
        return Exchange(
            purpose=purpose,
            model=settings.model,
            prompt=prompt,
            answer=answer,
            reply=reply,
            failure=failure,
            seconds=time.monotonic() - begun,
        )


def _asked(settings: Analyst, purpose: Literal["verdict", "wording"], prompt: str) -> str:
    text = ask(
        settings.model,
        prompt,
        form=AnalystReply if purpose == "verdict" else None,
        base_url=settings.base_url,
        timeout_seconds=settings.timeout_seconds,
        what=WHAT,
    ).text
    # Half of a surrogate pair is no text that can be stored; what is judged is what is kept.
    return text[:ANSWER_CHARACTERS].encode(errors="replace").decode()
