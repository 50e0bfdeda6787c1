"""Why a Dagster run failed, as a person or the quarantine wants to know it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster import DagsterEventType

from mlops_assets.core import errors

OURS = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.PlatformError)
}
# Failures that are not the batch's fault: it is left as it is, and goes on when the operator has mended them.
OPERATORS = {"ConfigError", "MissingExtra", "Busy", "Corrupt", "Interrupted"}
INTERRUPTED = dg.DagsterExecutionInterruptedError.__name__


@dataclass(frozen=True)
class Failure:
    """The step that failed (None: the run's process died), the class of the error, and its sentence."""

    step: str | None
    kind: str
    message: str

    @property
    def stale(self) -> bool:
        """Production moved after the decision was made."""
        return self.kind == "Stale"

    @property
    def operators(self) -> bool:
        """The batch is not to blame; somebody has to mend the installation, or try again later."""
        return self.kind in OPERATORS


def failure(instance: dg.DagsterInstance, run_id: str) -> Failure:
    """Return why a run failed: the innermost cause of the first step that failed, else the run's last message."""
    for record in instance.get_records_for_run(run_id, of_type=DagsterEventType.STEP_FAILURE).records:
        event = record.event_log_entry.get_dagster_event()
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        step = (event.step_key or "").rpartition("__")[2]
        if error is not None and error.cls_name == INTERRUPTED:
            return Failure(step, "Interrupted", f"{step} was interrupted. What was made is kept; run the batch again.")
        if error is not None:
            kind = error.cls_name or "Error"
            message = error.message.strip()
            return Failure(step, kind, message.partition(": ")[2] if kind in OURS else message)
        return Failure(step, "Error", event.message or "The step failed.")
    ends = instance.get_records_for_run(run_id, of_type=DagsterEventType.RUN_FAILURE).records
    last = ends[-1].event_log_entry.get_dagster_event().message if ends else None
    return Failure(None, "RunDied", last or "The process of the run ended without a word.")


@contextmanager
def log_file(instance: dg.DagsterInstance, run_id: str) -> Iterator[Path]:
    """Give the event log of a run as a text file, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="mlops-log-") as folder:
        path = Path(folder) / f"dagster-run-{run_id}.log"
        with path.open("w", encoding="utf-8") as file:
            for entry in instance.all_logs(run_id):
                file.write(f"{entry.timestamp:.3f} {entry.step_key or '-'} {entry.user_message or entry.message}\n")
                event = entry.dagster_event
                if event is not None and event.is_step_failure and event.step_failure_data.error is not None:
                    file.write(event.step_failure_data.error.to_string() + "\n")
        yield path
