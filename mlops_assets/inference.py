"""Use a line's model from any Python program, and in any LangGraph graph in the place of a language-model node.

    from mlops_assets.inference import as_langgraph_node, load

    load("intent").predict("I would like to become a surgeon")["category"]
    graph.add_node("classify", as_langgraph_node("intent"))

The model is what the platform has in production, and follows it: after a release or a rollback the next message is
answered by the version that the pointer names; splitting users between it and a canary is the gateway's. Where there is
no platform, `INTENT_CLASSIFIER_MODEL` (the line's name in capitals) names an exported folder. Neither LangGraph,
Dagster nor a training framework is needed or imported.
"""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.core.errors import ConfigError, Corrupt, NotFound
from mlops_assets.core.family import Predictor
from mlops_assets.wiring.families import load_family, vendor_packages
from mlops_assets.wiring.lines import read_lines
from mlops_assets.wiring.platform import open_platform, read_live

DEFAULT_FAMILY = "text"
_SUFFIX = "_CLASSIFIER_MODEL"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Loaded:
    identity: str
    version: int | None
    predictor: Predictor


class Inference:
    """A line's model, loaded once and safe to call from many threads."""

    def __init__(self, line: str, version: int | None = None) -> None:
        self.line = line
        self._pinned = version
        self._family = load_family(_family_of(line))
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        self._current()

    @property
    def version(self) -> int | None:
        """The version that answers now; None for a folder named by an environment variable."""
        return self._current().version

    def predict(self, text: Any) -> dict[str, Any]:
        """Return the answer for one message, or for whatever JSON the line's family reads."""
        return self.predict_many([text])[0]

    def predict_many(self, texts: Sequence[Any]) -> list[dict[str, Any]]:
        """Return an answer for each message, in order, all by one version."""
        answers = self._current().predictor.predict(list(texts))
        return [each if isinstance(each, dict) else {"answer": each} for each in answers]

    def _current(self) -> _Loaded:
        loaded = self._loaded
        if loaded is not None and (self._pinned is not None or self._serves(loaded)):
            return loaded
        with self._lock:
            identity, version, path = _pinned(self.line, self._pinned) if self._pinned else _address(self.line)
            if self._loaded is None or self._loaded.identity != identity:
                with vendor_packages(self._family.name):
                    self._loaded = _Loaded(identity, version, self._family.load(path))
            return self._loaded

    def _serves(self, loaded: _Loaded) -> bool:
        """Say whether what is loaded is what production serves; it goes on answering while nobody can say."""
        try:
            return loaded.identity == _address(self.line)[0]
        except Corrupt as error:
            log.warning("%s goes on with version %s: %s", self.line, loaded.version, error)
            return True


def load(line: str, version: int | None = None) -> Inference:
    """Load what a line serves, or one of its versions.

    Raises NotFound if nothing is served, ConfigError if the folder that the environment names is none.
    """
    return Inference(line, version)


def as_langgraph_node(
    line: str, message_key: str = "message", output_key: str = "unified_classification", version: int | None = None
) -> Callable[[Any], dict[str, Any]]:
    """Return a node that reads `message_key` of a graph's state and writes the answer to `output_key`.

    The state may be a dict, a dataclass or a pydantic model; of a list of chat messages the last is read.
    """
    model = load(line, version)

    def node(state: Any) -> dict[str, Any]:
        value = state[message_key] if isinstance(state, dict) else getattr(state, message_key)
        return {output_key: model.predict(_content(value))}

    node.__name__ = f"{line}_classifier_node"
    return node


def _content(value: Any) -> Any:
    """Return the text of a chat message or of the last of several; anything else as it is."""
    last = value[-1] if isinstance(value, list) and value and hasattr(value[-1], "content") else value
    return getattr(last, "content", last)


def _family_of(line: str) -> str:
    declared = next((each.family for each in read_lines() if each.line == line), None)
    if declared is None and _variable(line) not in os.environ:
        known = ", ".join(sorted(each.line for each in read_lines()))
        raise NotFound(f"There is no line '{line}'.", f"The lines are: {known}.")
    return declared or DEFAULT_FAMILY


def _variable(line: str) -> str:
    return line.upper() + _SUFFIX


def _address(line: str) -> tuple[str, int | None, Path]:
    """Return identity, version and folder of what a line serves now."""
    named = os.environ.get(_variable(line))
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"{_variable(line)} names {folder}, which is no folder.", "Correct or unset it.")
        return str(folder.resolve()), None, folder
    live = read_live(line)
    if live is None:
        raise NotFound(
            f"The line '{line}' serves nothing yet.",
            f"Release a version (`mlops run {line} BATCH`), or set {_variable(line)} to an exported folder.",
        )
    return live.production.servable, live.production.version, Path(live.production.path)


def _pinned(line: str, version: int) -> tuple[str, int | None, Path]:
    platform = open_platform()
    found = platform.versions.get(line, version)
    return found.servable, version, platform.store.folder(found.servable)
