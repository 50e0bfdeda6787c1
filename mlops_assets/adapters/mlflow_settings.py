"""The settings MLflow reads from the environment, for the time of a call and not longer."""

import importlib
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
LOGGERS = ("mlflow", "alembic")
_lock = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Let MLflow neither report home, nor print, nor wait long for a server that is away.

    The operator's own settings stand. The environment belongs to the process: one block at a time.
    """
    with _lock:
        added = {name: value for name, value in SETTINGS.items() if name not in os.environ}
        os.environ.update(added)
        importlib.import_module("mlflow")  # its import sets the levels of its loggers
        levels = {name: logging.getLogger(name).level for name in LOGGERS}
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            yield
        finally:
            for name in added:
                os.environ.pop(name, None)
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
