"""`mlops serve`: the gateway, and beside it the watch that judges what it serves."""

import gc
import ipaddress
import logging
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.adapters import guardian
from mlops_assets.cli.context import line as line_of
from mlops_assets.cli.context import platform
from mlops_assets.cli.output import Json, answer
from mlops_assets.core.errors import MissingExtra, PlatformError, UsageError
from mlops_assets.core.ports.platform import Platform

BACKLOG = 2_048
AGAIN_SECONDS = 5
SWITCH_SECONDS = 0.001  # that one thread may keep Python to itself: those that store must not hold up those that answer
log = logging.getLogger(__name__)


def serve(
    host: Annotated[str, typer.Option(help="Interface to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65_535)] = 8000,
    line: Annotated[list[str] | None, typer.Option(help="Line to serve; all of them if not given.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM) to serve HTTPS with.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="Listen beyond this machine without TLS: a proxy before it has it.")
    ] = False,
    watch: Annotated[bool, typer.Option(help="Run `mlops watch` beside it.")] = True,
    drain: Annotated[float, typer.Option(help="Seconds that stopping waits for requests in flight.", min=0)] = 30,
    rate: Annotated[float, typer.Option(help="Requests a second of one key; more get 429.", min=1)] = 1_000,
    access_log: Annotated[Path | None, typer.Option(help="File of the access log; stderr if not given.")] = None,
    inject: Annotated[
        list[str] | None,
        typer.Option(
            help="Harm a version while it is rolled out, on purpose: LINE:VERSION:errors=0.1,delay_ms=300,delayed=0.02"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Serve the lines' models, and the pages, over HTTP; Ctrl-C stops it once requests in flight are answered."""
    _check_exposure(host, tls_cert, tls_key, plain_http)
    _check_log(access_log)
    made = platform()
    if line:
        chosen = tuple(line_of(name) for name in dict.fromkeys(line))
        made = replace(made, lines=lambda: chosen)
    try:
        from mlops_assets.serving.app import build
        from mlops_assets.serving.door.listening import Server, configure, log_json_lines
        from mlops_assets.serving.door.visit import DoorSettings
        from mlops_assets.serving.engine.faults import Fault
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"The gateway needs the package '{error.name}', which is not installed.",
            "pip install 'mlops_assets[serve]'",
        ) from error
    sys.setswitchinterval(SWITCH_SECONDS)
    log_json_lines()
    _more_files()
    faults = tuple(Fault.parse(text) for text in inject or ())
    for fault in faults:
        line_of(fault.line)
    app = build(made, settings=DoorSettings(requests_per_second=rate), faults=faults, access_log=access_log)
    config = configure(app, drain_seconds=drain, certificate=_path(tls_cert), key=_path(tls_key))
    with _listening(host, port) as listening:
        url = f"{'https' if tls_cert else 'http'}://{_shown(host)}:{listening.getsockname()[1]}"
        server = Server(config, ready=lambda: _welcome(made, url))
        with _healing(), _watching(watch):
            server.run([listening])
    if not server.started:
        raise PlatformError("The gateway could not start.", "Its log says why.")


def _check_exposure(host: str, certificate: Path | None, key: Path | None, plain_http: bool) -> None:
    if (certificate is None) != (key is None):
        raise UsageError("TLS needs both a certificate and its key.", "Give --tls-cert and --tls-key.")
    for path in (certificate, key):
        if path is not None and not path.is_file():
            raise UsageError(f"{path} is no file.", "Name a PEM file.")
    if certificate is None and not plain_http and not _is_loopback(host):
        raise UsageError(
            f"Listening on {host} without TLS would let anybody on the way read the keys, and use them.",
            "Give --tls-cert and --tls-key; or --plain-http if a proxy before it has TLS.",
        )


def _check_log(path: Path | None) -> None:
    try:
        if path is not None:
            path.open("ab").close()
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.", "Name another with --access-log.") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise PlatformError(
            f"{_shown(host)}:{port} cannot be listened on: {error.strerror or error}.", "Choose another with --port."
        ) from None


def _welcome(made: Platform, url: str) -> None:
    gc.collect()
    gc.freeze()  # what is loaded stays: going through it for garbage stopped every request for 0.1 s, again and again
    has_key = any(key.revoked_at is None for key in made.keys.list())
    todo = "" if has_key else "There is no key yet: `mlops keys add NAME --role admin` makes one and shows it once."
    document = {"url": url, "pages": f"{url}/", "todo": todo}
    lines = [f"The gateway answers at {url}; its pages are at {url}/ for whoever has a key.", todo]
    answer(document, lambda out: out.print("\n".join(filter(None, lines)), markup=False))


def _more_files() -> None:
    """Allow as many connections as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _healing() -> Iterator[None]:
    """Heal what a crash left between the tables and what is published, while serving goes on."""
    healing = _beside("mlops_assets.cli.healing")
    try:
        yield
    finally:
        healing.communicate()


def _beside(*arguments: str) -> "subprocess.Popen[bytes]":
    """Start a module beside the gateway; its guardian ends it once its input is closed, as it is if this is killed."""
    command = [sys.executable, guardian.__file__, sys.executable, "-m", *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)


@contextmanager
def _watching(wanted: bool) -> Iterator[None]:
    """Run the watch beside the gateway, again if it ends, and never beyond the gateway's own end."""
    if not wanted:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_watch_until, args=[over], name="watch")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch_until(over: threading.Event) -> None:
    while not over.is_set():
        watching = _beside("mlops_assets.cli", "watch")
        while not over.wait(0.2) and watching.poll() is None:
            pass
        watching.communicate()
        code = watching.returncode
        if not over.is_set():
            log.warning("the watch ended with code %d; it starts again in %d s", code, AGAIN_SECONDS)
            over.wait(AGAIN_SECONDS)
