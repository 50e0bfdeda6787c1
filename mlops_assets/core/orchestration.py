"""The names by which a line and its runs are known to the orchestrator, from inside of it and from outside."""

LINE_TAG = "mlops/line"  # on a line's jobs, their runs, and its sensors
STAGE_TAG = "mlops/stage"
PARTITION_TAG = "dagster/partition"


def chain_job(line: str) -> str:
    """Return the name of a line's chain; the line's own will not do, for Dagster keeps words such as 'context'."""
    return f"{line}_chain"
