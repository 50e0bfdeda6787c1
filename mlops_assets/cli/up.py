"""`mlops up`: the gateway with its watch, the Dagster UI and daemon, and the MLflow UI from one terminal.

Each server runs in a session of its own, so that Ctrl-C reaches this process alone and it stops them in order.
A server that ends by itself stops the others: half a platform is worse than none.
"""

import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Annotated

import typer
from rich.markup import escape

from mlops_assets.cli.context import actor, platform
from mlops_assets.cli.output import Exit, Json, answer, console
from mlops_assets.core.errors import PlatformError
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle import auditing, keys
from mlops_assets.lifecycle.deployment import release
from mlops_assets.wiring.environment import process_environment
from mlops_assets.wiring.platform import inbox_folder
from mlops_assets.wiring.settings import Settings, read_settings

STOP_SECONDS = 20


@dataclass(frozen=True)
class Server:
    """One process of the platform, and how to tell that it answers."""

    name: str
    command: list[str]
    address: str | None = None
    health: str = ""
    alive: int = 200


def up(
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.")] = 5000,
    gateway_port: Annotated[int, typer.Option(help="Port of the gateway, which always listens on 127.0.0.1.")] = 8000,
    host: Annotated[
        str, typer.Option(help="Interface the UIs listen on; they have no log-in of their own.")
    ] = "127.0.0.1",
    json: Json = False,
) -> None:
    """Start the gateway and its watch, the Dagster UI and daemon and the MLflow UI; Ctrl-C stops them all."""
    from mlops_assets.components.running import open_instance

    made = platform()
    for problem in auditing.report_broken_ledger(made):
        console.print(f"[bold red]ledger:[/] {escape(problem)} {auditing.RESTORE}")
    release.reconcile(made)
    open_instance(made).dispose()
    settings = read_settings()
    servers = _servers(settings, host, port, mlflow_port, gateway_port)
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    environment = {
        "MLOPS_DAGSTER_UI": f"http://{host}:{port}",
        "MLOPS_TRACKING_UI": f"http://{host}:{mlflow_port}",
        "MLOPS_GATEWAY_URL": f"http://127.0.0.1:{gateway_port}",
    }
    with _running(servers, settings.home / "logs", environment) as processes:
        _wait_until_ready(servers, processes, stop)
        inboxes = _inboxes(settings, made)
        addresses = {server.name: server.address for server in servers if server.address}
        key = _first_key(made)
        document = {"addresses": addresses, "inboxes": inboxes, "home": str(settings.home), "key": key}
        answer(document, lambda out: _welcome(out.print, addresses, inboxes, key))
        while not stop.wait(0.5):
            for server, process in zip(servers, processes, strict=True):
                if process.poll() is not None:
                    raise _ended(server, process, settings.home / "logs")
    console.print("All stopped.")
    raise typer.Exit(Exit.DONE)


def _first_key(made: Platform) -> str | None:
    """Return an admin's key for whoever starts a platform that has no key yet."""
    return None if made.keys.list() else keys.issue(made, actor(), "admin", days=None, actor=actor())[0]


def _welcome(say: Callable[[str], None], addresses: dict[str, str], inboxes: list[str], key: str | None) -> None:
    for name, address in addresses.items():
        say(f"{name:<12} {address}")
    for inbox in inboxes:
        say(f"{'inbox':<12} {inbox}")
    if key is not None:
        say(f"{'your key':<12} {key}")
        say("It opens the gateway's pages as admin and is not shown again; `mlops keys add NAME` makes others.")
    say("Drop a file or a zip into an inbox and watch the asset graph. Ctrl-C stops everything.")


def _inboxes(settings: Settings, made: Platform) -> list[str]:
    """Make the folders that are watched, so that a zip can be dropped into them at once."""
    folders = [inbox_folder(settings, line) for line in made.lines()]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return [str(folder) for folder in folders]


def _servers(settings: Settings, host: str, port: int, mlflow_port: int, gateway_port: int) -> list[Server]:
    workspace = str(settings.root / "workspace.yaml")
    scripts = Path(sys.executable).parent
    dagster = f"http://{host}:{port}"
    mlflow = f"http://{host}:{mlflow_port}"
    gateway = f"http://127.0.0.1:{gateway_port}"
    return [
        Server(
            "gateway",
            [sys.executable, "-m", "mlops_assets.cli", "serve", "--port", str(gateway_port)],
            gateway,
            f"{gateway}/pipeline/status",
            alive=401,
        ),
        Server(
            "Dagster UI",
            [str(scripts / "dagster-webserver"), "-w", workspace, "-h", host, "-p", str(port)],
            dagster,
            f"{dagster}/server_info",
        ),
        Server("daemon", [str(scripts / "dagster-daemon"), "run", "-w", workspace]),
        Server(
            "MLflow UI",
            [
                str(scripts / "mlflow"),
                "server",
                "--backend-store-uri",
                settings.tracking_uri,
                "--workers",
                "1",
                "--host",
                host,
                "--port",
                str(mlflow_port),
            ],
            mlflow,
            f"{mlflow}/health",
        ),
    ]


@contextmanager
def _running(servers: list[Server], logs: Path, addresses: dict[str, str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    logs.mkdir(parents=True, exist_ok=True)
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **addresses}
    environment = os.environ | process_environment() | own
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for server in servers:
            if shutil.which(server.command[0]) is None:
                raise PlatformError(f"{server.command[0]} is not installed.", "Run `make setup`.")
            with (logs / f"{server.name.replace(' ', '-')}.log").open("ab") as log:
                processes.append(
                    subprocess.Popen(
                        server.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment,
                        start_new_session=True,
                    )
                )  # fmt: skip
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    with suppress(ProcessLookupError):  # a code server that outlived its parent
        os.killpg(process.pid, signal.SIGTERM)


def _wait_until_ready(servers: list[Server], processes: list[subprocess.Popen[bytes]], stop: Event) -> None:
    with console.status("starting ..."):
        for server, process in zip(servers, processes, strict=True):
            while server.address and not stop.is_set() and not _answers(server):
                if process.poll() is not None:
                    raise _ended(server, process, read_settings().home / "logs")
                stop.wait(0.5)


def _answers(server: Server) -> bool:
    try:
        with urllib.request.urlopen(server.health, timeout=2) as response:
            return response.status == server.alive
    except urllib.error.HTTPError as error:
        return error.code == server.alive
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _ended(server: Server, process: subprocess.Popen[bytes], logs: Path) -> PlatformError:
    log = logs / f"{server.name.replace(' ', '-')}.log"
    tail = " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
    return PlatformError(
        f"{server.name} ended with code {process.returncode}: {tail}", f"Its log is {log}; is its port taken?"
    )
