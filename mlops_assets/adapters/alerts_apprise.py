"""Alerts to people through Apprise: Slack, Teams, e-mail, webhooks and a hundred more, by URL.

An alert is owed to every sink by its own row in the outbox, so a sink that is down is tried again without telling the
others twice. A process killed between a delivery and its record makes that one delivery twice; nothing else does.
"""

import logging
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mlops_assets.adapters.database.outbox import Outbox, Owed
from mlops_assets.core.digests import sha256_bytes
from mlops_assets.core.errors import Busy
from mlops_assets.core.ports.execution import Leases
from mlops_assets.core.ports.mirrors import Alert

KIND = "alert"
LEASE = "alerts"
WAIT_SECONDS = 10
TIMEOUT_SECONDS = 5.0
TITLE_CHARACTERS = 200
TEXT_CHARACTERS = 6000
LOG_ONLY = "delivered to the log only: no alert addresses are configured"
log = logging.getLogger(__name__)


class AppriseAlerts:
    """Fills `Alerts`. `urls` are Apprise addresses; without any, an alert goes to the log, and its record says so."""

    def __init__(self, urls: Sequence[str], *, outbox: Outbox, leases: Leases) -> None:
        self._sinks = {sha256_bytes(url.encode())[:12]: url for url in urls}
        self._outbox = outbox
        self._leases = leases

    def send(self, alert: Alert) -> None:
        """Owe an alert to every sink, once per key, and try to deliver what is owed."""
        payload = alert.model_dump(mode="json")
        new = [self._outbox.add(f"{KIND}/{alert.key}/{sink}", KIND, {**payload, "sink": sink}) for sink in self._sinks]
        if not self._sinks:
            new = [self._outbox.add(f"{KIND}/{alert.key}/log", KIND, payload, done=True, note=LOG_ONLY)]
        if any(new):
            log.warning("%s: %s", _title(alert), _shortened(alert.text))
            self.deliver()

    def deliver(self) -> int:
        """Try to deliver what is owed, least tried first; return how many deliveries are still owed.

        A sink that fails is left alone for the rest of the call. Never raises for a sink, and takes at most two
        timeouts for each.
        """
        if not self._outbox.waiting(KIND):
            return 0
        try:
            with self._leases.hold(LEASE, holder=f"alerts {uuid.uuid4().hex}", wait_seconds=WAIT_SECONDS):
                failed: set[str] = set()
                for owed in sorted(self._outbox.waiting(KIND), key=lambda owed: owed.attempts):
                    sink = str(owed.payload["sink"])
                    if sink not in failed and not self._deliver(owed, self._sinks.get(sink)):
                        failed.add(sink)
        except Busy as busy:
            log.warning("Alerts wait: %s", busy)
        return len(self._outbox.waiting(KIND))

    def problems(self) -> list[str]:
        """Return a sentence for every address that Apprise does not understand, without its secrets."""
        return [
            f"Alert address {number} ({url.partition(':')[0]}:...) is not one that Apprise understands."
            for number, url in enumerate(self._sinks.values(), 1)
            if _sink(url) is None
        ]

    def _deliver(self, owed: Owed, url: str | None) -> bool:
        if url is None:
            self._outbox.done(owed.key, "dropped: the address is configured no more")
            return True
        alert = Alert.model_validate(owed.payload, extra="ignore")  # it names its sink, too
        sink = _sink(url)
        if sink is None:
            self._outbox.failed(owed.key, "the address is not one that Apprise understands")
            return False
        with _listening() as said:
            delivered = bool(sink.notify(body=_shortened(alert.text), title=_title(alert)))
        if delivered:
            self._outbox.done(owed.key)
        else:
            self._outbox.failed(owed.key, "; ".join(said) or "Apprise gave no reason")
        return delivered


def _sink(url: str) -> Any:
    import apprise

    asset = apprise.AppriseAsset(app_id="mlops_assets", app_desc="mlops_assets", http_redirects=False, async_mode=False)
    with warnings.catch_warnings(), _listening(instead=True):  # Apprise logs an address it cannot read, secrets and all
        warnings.filterwarnings("ignore", "'imghdr' is deprecated", DeprecationWarning)
        sink = apprise.Apprise.instantiate(url, asset=asset)
    if sink is not None:
        sink.socket_connect_timeout = min(sink.socket_connect_timeout, TIMEOUT_SECONDS)
        sink.socket_read_timeout = min(sink.socket_read_timeout, TIMEOUT_SECONDS)
    return sink


@contextmanager
def _listening(*, instead: bool = False) -> Iterator[list[str]]:
    """Collect the warnings that Apprise logs, which are all it says of a failure; `instead` keeps them from the log."""
    said: list[str] = []

    def listen(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            said.append(record.getMessage())
        return not instead

    logger = logging.getLogger("apprise")
    logger.addFilter(listen)
    try:
        yield said
    finally:
        logger.removeFilter(listen)


def _title(alert: Alert) -> str:
    return _shortened(" ".join(f"[{alert.line}] {alert.title}".split()), TITLE_CHARACTERS)


def _shortened(text: str, most: int = TEXT_CHARACTERS) -> str:
    if len(text) <= most:
        return text
    note = f"... ({len(text) - most} characters more)"
    return text[: most - len(note)] + note
