"""A product's way to the platform over HTTP, with the calls of source 004.

    pipeline = get_pipeline()
    pipeline.collect_feedback({"rating": 5, "type": "chord_progression", "notes": "Great progression!"})
    pipeline.predict("intent", "play something calm", user="ann")

Errors are the platform's own (core/errors.py), each a sentence. A call is repeated only where that can do no harm:
events carry an id that is made here, and what was refused for load was not done.
"""

import base64
import functools
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from mlops_assets.core.errors import (
    Busy,
    ConfigError,
    Forbidden,
    NotFound,
    PlatformError,
    Refused,
    Stale,
    Unavailable,
    UsageError,
)
from mlops_assets.core.events import new_event_id
from mlops_assets.core.retry_after import retry_after
from mlops_assets.wiring.settings import read_settings

ATTEMPTS = 5
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 10.0
ERRORS: dict[int, type[PlatformError]] = {
    403: Forbidden,
    404: NotFound,
    409: Refused,
    **dict.fromkeys((413, 414, 415, 422), UsageError),
    **dict.fromkeys((429, 503), Busy),
}
CODES: dict[str, type[PlatformError]] = {"stale": Stale, "unavailable": Unavailable}
TRACKED = ("track_latency", "track_accuracy", "track_user_satisfaction")
# Where a line's YAML says on the server what 004 has as a setting of the client.
_SAME_NAME = {
    "collection": ("collect_controller_data", "collect_feedback", "data_retention_days"),
    "triggers": ("auto_retrain", "retrain_threshold", "retrain_interval_hours"),
    "release": ("deployment_rollback", "canary_percentage"),
    "monitoring": ("health_check_interval_seconds", "health_alert_threshold", *TRACKED),
}
ON_SERVER: dict[str, tuple[str, ...]] = {
    "min_eval_samples": ("policy", "gates", "min_golden_items"),
    "eval_metrics": ("config", "eval_metrics"),
    "auto_deploy": ("policy", "auto_deploy"),
    **{name: (section, name) for section, names in _SAME_NAME.items() for name in names},
}
Document = dict[str, Any]
Input = JsonValue | bytes  # bytes are a media file
log = logging.getLogger(__name__)


class PipelineConfig(BaseModel):
    """Where the gateway is, and source 004's settings with its defaults.

    Those of 004 are set in the line's YAML, on the server. One that is given here is compared with it, and a difference
    is told (`Pipeline.differences`, and once in the log); nothing on the server changes. Switching a collection off
    here stops it at the client, too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str | None = Field(default=None, description="Address of the gateway; default: MLOPS_GATEWAY_URL")
    key: str | None = Field(default=None, repr=False, description="Key of the caller; default: MLOPS_API_KEY")
    line: str = Field(default="preference", description="The line that 004's calls are about")
    timeout_seconds: float = Field(default=30, gt=0, description="Seconds for one attempt")

    collect_controller_data: bool = True
    collect_feedback: bool = True
    data_retention_days: int = 90
    auto_retrain: bool = True
    retrain_threshold: int = 50
    retrain_interval_hours: float = 24
    min_eval_samples: int = 100
    eval_metrics: tuple[str, ...] = ("accuracy", "precision", "recall", "f1_score")
    auto_deploy: bool = False
    deployment_rollback: bool = True
    canary_percentage: float = 0.1
    health_check_interval_seconds: float = 60
    health_alert_threshold: float = 0.8
    track_latency: bool = True
    track_accuracy: bool = True
    track_user_satisfaction: bool = True


def get_pipeline(config: PipelineConfig | None = None) -> "Pipeline":
    """Return the pipeline of a configuration, one for each; ConfigError without a key.

    Without a configuration it is the first that was made, so that one place configures what all others ask for.
    """
    if config is not None and not isinstance(config, PipelineConfig):
        raise ConfigError(f"get_pipeline takes no {type(config).__name__}.", "Give it a PipelineConfig(...).")
    with _making:
        chosen = config or next(iter(_pipelines), None) or PipelineConfig()
        if chosen not in _pipelines:
            _pipelines[chosen] = Pipeline(chosen)
        return _pipelines[chosen]


class Pipeline:
    """The platform as a client sees it; threads may share one."""

    def __init__(self, config: PipelineConfig) -> None:
        settings = read_settings()
        key = (config.key or (settings.api_key.get_secret_value() if settings.api_key else "")).strip()
        if not key:
            raise ConfigError("The client has no key.", "Set MLOPS_API_KEY; `mlops keys add NAME` makes one.")
        if not (key.isascii() and key.isprintable()):  # httpx would show it in its error
            raise ConfigError("The client's key is none.", "Set MLOPS_API_KEY to what `mlops keys add` showed.")
        self.config = config
        self.url = (config.url or settings.gateway_url).rstrip("/")
        if not _is_address(self.url):
            raise ConfigError(f"'{self.url}' is no address of a gateway.", "Write it such as http://127.0.0.1:8000.")
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=config.timeout_seconds)
        self._compared = not config.model_fields_set & ON_SERVER.keys()

    def close(self) -> None:
        """Close the connections; `get_pipeline` makes a new one afterwards."""
        self._http.close()
        if _pipelines.get(self.config) is self:
            del _pipelines[self.config]

    def start(self) -> Document:
        """Switch the line's sensors on (admin)."""
        return self._of_line("POST", "/pipeline/start")

    def stop(self) -> Document:
        """Switch the line's sensors off (admin); predictions go on."""
        return self._of_line("POST", "/pipeline/stop")

    def status(self) -> Document:
        """Return what the platform does now (viewer): `lines`, `gateways`, `running`."""
        return self._call("GET", "/pipeline/status", safe=True)

    def collect_controller_data(self, data: Mapping[str, JsonValue]) -> Document:
        """Report a use (contributor); the receipt that comes back says it would survive a power cut."""
        return self._collect("data", data, wanted=self.config.collect_controller_data)

    def collect_feedback(self, data: Mapping[str, JsonValue]) -> Document:
        """Report a rating of 1 to 5 (contributor); the receipt says it would survive a power cut."""
        return self._collect("feedback", data, wanted=self.config.collect_feedback)

    def collect(self, line: str, events: Sequence[Mapping[str, JsonValue]]) -> list[Document]:
        """Report events of any kind, each with its `kind` (contributor); return a receipt for each, in order."""
        if not events:
            return []
        identified = [_identified(each) for each in events]
        return self._call("POST", f"/v1/lines/{line}/events", safe=True, json=identified)["receipts"]

    def train_model(self, model_type: str = "preference") -> Document:
        """Start a training of a line, or of a family's lines, on what was collected (admin).

        Refused says why none can start.
        """
        return self._call("POST", "/pipeline/train", params={"model_type": model_type})

    def evaluate_model(self, model_version: int) -> Document:
        """Return the scores of a version as it was evaluated (viewer): `metrics`, and `scores` with intervals."""
        return self._call("GET", f"/v1/lines/{self.config.line}/versions/{model_version}/evaluation", safe=True)

    def deploy_model(self, model_version: int, *, canary: bool = True, reason: str = "asked by a client") -> Document:
        """Let a version serve, step by step or at once (admin); return the line's pointer."""
        wish = {"version": model_version, "strategy": "canary" if canary else "replace", "reason": reason}
        return self._call("POST", f"/v1/lines/{self.config.line}/deploy", json=wish)

    def check_controller_health(self) -> Document:
        """Return the line's health now (viewer): `score`, `status`, `issues`, `recommendations`, `signals`."""
        return self._of_line("GET", "/pipeline/health")

    def get_health_summary(self) -> Document:
        """Return a summary of the line's health (viewer)."""
        return self._of_line("GET", "/pipeline/health/summary")

    def get_health_history(self, hours: float = 24) -> Any:
        """Return the line's samples of health, oldest first (viewer)."""
        return self._of_line("GET", "/pipeline/health/history", hours=hours)

    def predict(self, line: str, input: Input, *, user: str | None = None) -> Document:
        """Ask a line's model (contributor): `prediction_id`, `version`, `arm`, `output`."""
        return self._predict(line, user, input=_sent(input))

    def predict_many(self, line: str, inputs: Sequence[Input], *, user: str | None = None) -> list[Document]:
        """Ask for several inputs at once, all or none of which are answered, in order."""
        return self._predict(line, user, inputs=[_sent(each) for each in inputs])["predictions"]

    def differences(self) -> list[str]:
        """Return a sentence for each setting that was given here and is another one in the line's YAML (viewer)."""
        self._compared = True
        settings = self._of_line("GET", "/pipeline/status")["lines"][self.config.line]["settings"]
        found = []
        for name in sorted(self.config.model_fields_set & ON_SERVER.keys()):
            wanted, path = getattr(self.config, name), ON_SERVER[name]
            there = functools.reduce(lambda at, key: at.get(key) if isinstance(at, dict) else None, path, settings)
            if (list(wanted) if isinstance(wanted, tuple) else wanted) != there:
                found.append(
                    f"{name} is {wanted!r} here and {there!r} on the server, which counts: "
                    f"set {'.'.join(path)} in the YAML of {self.config.line}."
                )
        return found

    def _predict(self, line: str, user: str | None, **asked: JsonValue) -> Any:
        document = asked if user is None else {**asked, "user": user}
        return self._call("POST", f"/v1/lines/{line}/predict", json=document)

    def _collect(self, what: str, data: Mapping[str, JsonValue], *, wanted: bool) -> Document:
        if not wanted:
            return {"status": "off", "problem": "this client's configuration does not collect it"}
        return self._of_line("POST", f"/pipeline/collect/{what}", _identified(data))

    def _of_line(self, method: str, path: str, document: JsonValue = None, **query: float) -> Any:
        """Call what 004 has about its one pipeline, here of the configured line; it may be repeated."""
        return self._call(method, path, safe=True, params={"line": self.config.line, **query}, json=document)

    def _call(self, method: str, path: str, *, safe: bool = False, **request: Any) -> Any:
        if not self._compared:
            for sentence in self.differences():
                log.warning(sentence)
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            try:
                response = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                unsent = isinstance(error, httpx.ConnectError)
                if last or not (safe or unsent):
                    raise Unavailable(
                        f"No gateway answers at {self.url}: {str(error) or type(error).__name__}.",
                        "Start one with `mlops serve`, or set MLOPS_GATEWAY_URL.",
                    ) from error
                _wait(attempt, {})
                continue
            again = (safe and response.status_code == 503) or _not_done(response)
            if last or not again:
                return _result(response)
            _wait(attempt, response.headers)
        raise AssertionError("the last attempt returns or raises")


def _is_address(url: str) -> bool:
    try:
        return httpx.URL(url).scheme in ("http", "https") and bool(httpx.URL(url).host)
    except httpx.InvalidURL:
        return False


def _identified(event: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {"event_id": new_event_id(), **event}


def _sent(value: Input) -> JsonValue:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _not_done(response: httpx.Response) -> bool:
    """Say whether the gateway refused a call for load, so that any call may be repeated."""
    return response.status_code == 429 or (response.status_code == 503 and _problem(response)[0] == "busy")


def _problem(response: httpx.Response) -> tuple[str, str]:
    """Return code and message of an error."""
    try:
        return response.json()["error"]["code"], response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return "", f"The gateway answered {response.status_code}."


def _result(response: httpx.Response) -> Any:
    if response.is_success:
        try:
            return response.json()
        except ValueError:
            where = response.url.copy_with(raw_path=b"")
            raise Unavailable(f"What answers at {where} is no gateway.", "Set MLOPS_GATEWAY_URL to one.") from None
    code, message = _problem(response)
    if response.status_code == 401:
        raise ConfigError("The gateway refuses this client's key.", "Set MLOPS_API_KEY to one that counts.")
    raise CODES.get(code, ERRORS.get(response.status_code, PlatformError))(message)


def _wait(attempt: int, headers: Mapping[str, str]) -> None:
    """Wait as long as the server says, else twice as long as the time before."""
    named = retry_after(headers)
    time.sleep(min(FIRST_WAIT_SECONDS * 2**attempt if named is None else named, LONGEST_WAIT_SECONDS))


_making = threading.Lock()
_pipelines: dict[PipelineConfig, Pipeline] = {}
