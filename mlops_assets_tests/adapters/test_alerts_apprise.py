import email
import email.policy
import http.server
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from mlops_assets.adapters.alerts_apprise import AppriseAlerts
from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.leases import SqlLeases
from mlops_assets.adapters.database.outbox import Outbox
from mlops_assets.adapters.database.tables import outbox
from mlops_assets.core.ports.mirrors import Alert
from mlops_assets_tests.adapters.processes import race

SEND = """
import sys
from mlops_assets.adapters.alerts_apprise import AppriseAlerts
from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.leases import SqlLeases
from mlops_assets.adapters.database.outbox import Outbox
from mlops_assets.core.ports.mirrors import Alert
database = Database(sys.argv[1])
alerts = AppriseAlerts([sys.argv[2]], outbox=Outbox(database), leases=SqlLeases(database))
print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    alerts.send(Alert(key=str(number), title="t", text="x", line="speech"))
assert alerts.deliver() == 0
"""


class Sink:
    """A web server that keeps what it was sent, and answers as it is told."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.received: list[dict[str, Any]] = []
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sink.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(sink.status)
                for name, value in sink.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server.server_port}"


class Mailbox(socketserver.ThreadingTCPServer):
    """Just enough of an SMTP server to take a message."""

    daemon_threads = True

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _SmtpSession)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _SmtpSession(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Mailbox)
        self.wfile.write(b"220 here\r\n")
        while command := self.rfile.readline().strip().upper():
            if command == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                self.server.messages.append(b"".join(iter(self.rfile.readline, b".\r\n")))
            self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 fine\r\n")


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def make(sqlite: Database) -> Callable[..., AppriseAlerts]:
    return lambda *urls: AppriseAlerts(urls, outbox=Outbox(sqlite), leases=SqlLeases(sqlite))


def alert(key: str = "incident-1", **more: str) -> Alert:
    return Alert(**{"key": key, "title": "Rejected", "text": "WER rose", "line": "speech", **more})


def rows(database: Database) -> list[sa.Row]:
    with database.read() as connection:
        return list(connection.execute(sa.select(outbox).order_by(outbox.c.id)))


def test_an_alert_arrives_once_per_key(make, sink: Sink) -> None:
    alerts = make(sink.url)
    for _ in range(3):
        alerts.send(alert())
    alerts.send(alert("incident-2"))
    assert [(each["title"], each["message"]) for each in sink.received] == [("[speech] Rejected", "WER rose")] * 2
    assert alerts.deliver() == 0


def test_mail_arrives(make) -> None:
    mailbox = Mailbox()
    port = mailbox.server_address[1]
    make(f"mailto://127.0.0.1:{port}/?from=platform@example.org&to=team@example.org").send(
        alert(title="Rejected\nBcc: eve@example.org")
    )
    mailbox.shutdown()
    mailbox.server_close()
    (raw,) = mailbox.messages
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message["Subject"] == "[speech] Rejected Bcc: eve@example.org"
    assert message["To"] == "team@example.org"
    assert message["Bcc"] is None
    body = message.get_body(("plain", "html"))
    assert body is not None
    assert "WER rose" in body.get_content()


def test_a_failing_sink_is_tried_again_and_others_are_not_told_twice(make, sink: Sink, sqlite: Database) -> None:
    other = Sink()
    sink.status = 500
    alerts = make(sink.url, other.url)
    alerts.send(alert())
    assert alerts.deliver() == 1
    (owed,) = Outbox(sqlite).waiting("alert")
    assert owed.attempts == 2
    assert "500" in owed.note
    sink.status = 200
    assert alerts.deliver() == 0
    assert (len(sink.received), len(other.received)) == (3, 1)
    other.server.shutdown()
    other.server.server_close()


def test_a_sink_that_is_down_does_not_break_the_caller(make, sqlite: Database) -> None:
    alerts = make("json://127.0.0.1:1")
    alerts.send(alert())
    alerts.send(alert("incident-2"))
    assert alerts.deliver() == 2
    assert sum(owed.attempts for owed in Outbox(sqlite).waiting("alert")) == 3, "one try a call, the least tried first"


def test_redirects_are_not_followed(make, sink: Sink) -> None:
    target = Sink()
    sink.status = 307
    sink.headers = {"Location": target.url.replace("json", "http")}
    alerts = make(sink.url)
    alerts.send(alert())
    assert alerts.deliver() == 1
    assert target.received == []
    target.server.shutdown()
    target.server.server_close()


def test_without_addresses_it_goes_to_the_log_and_says_so(make, sqlite: Database, caplog) -> None:
    alerts = make()
    alerts.send(alert())
    alerts.send(alert())
    assert caplog.text.count("[speech] Rejected: WER rose") == 1
    (row,) = rows(sqlite)
    assert row.done
    assert "log only" in row.note
    assert alerts.deliver() == 0


def test_an_address_that_is_gone_is_not_waited_for(make, sqlite: Database) -> None:
    make("json://127.0.0.1:1").send(alert())
    assert make().deliver() == 0
    assert "no more" in rows(sqlite)[0].note


def test_a_wrong_address_is_named_without_its_secrets(make, sink: Sink, sqlite: Database, caplog) -> None:
    alerts = make(sink.url, "slack://secret")
    assert alerts.problems() == ["Alert address 2 (slack:...) is not one that Apprise understands."]
    alerts.send(alert())
    assert len(sink.received) == 1
    assert alerts.deliver() == 1
    assert "secret" not in caplog.text
    assert not any("secret" in f"{row.key}{row.payload}{row.note}" for row in rows(sqlite))


def test_long_texts_are_shortened(make, sink: Sink) -> None:
    make(sink.url).send(alert(title="t" * 10_000, text="x" * 1_000_000))
    (received,) = sink.received
    assert len(received["title"]) == 200
    assert received["message"].startswith("xxx")
    assert received["message"].endswith("characters more)")
    assert len(received["message"]) <= 6000


def test_two_processes_tell_each_incident_once(sqlite: Database, sink: Sink) -> None:
    race(SEND, [[sqlite.url, sink.url]] * 2)
    assert len(sink.received) == 10
