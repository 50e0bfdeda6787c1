"""How every page of the platform is made: one HTML file, one style, nothing loaded from elsewhere.

Pages open from MLflow, from the artifact store, from a mail and from a folder alike, in light and in dark. What users
wrote is escaped by the templates; only our own plots are put in as they are.
"""

import functools
import uuid
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """Return a page; `template` is a path under `lifecycle/`, and a value it names and is not given is an error."""
    return templates("lifecycle").get_template(template).render(**values)


def write_page(path: Path, page: bytes) -> Path:
    """Put a page in place at once: two processes may write it, and someone may be reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != page:
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        partial.write_bytes(page)
        partial.replace(path)
    return path


@functools.cache
def templates(*folders: str) -> Environment:
    """Return what renders the templates of some folders of the package, of the first that has one of that name."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("mlops_assets", folder) for folder in folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "signed": signed,
        "interval": interval,
        "megabytes": megabytes,
        "duration": duration,
        "percent": percent,
        "day": day,
    }
    return environment


def number(value: float | None) -> str:
    """Return a figure with four significant digits, a dash for none."""
    return "–" if value is None else f"{value:.4g}"


def signed(value: float | None) -> str:
    """Return a difference with its sign and three significant digits, a dash for none."""
    return "–" if value is None else f"{value + 0.0:+.3g}"  # -0.0 is 0


def interval(value: tuple[float, float] | None) -> str:
    """Return '[low, high]', nothing for none."""
    return "" if value is None else f"[{value[0]:.3g}, {value[1]:.3g}]"


def megabytes(size: int) -> str:
    """Return bytes as megabytes, small sizes in a smaller unit."""
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def duration(seconds: float) -> str:
    """Return seconds in the unit that people say them in."""
    for least, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= least:
            return f"{seconds / least:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def percent(share: float) -> str:
    """Return a share (0..1) as a percentage with one digit at most."""
    return f"{round(100 * share, 1):g} %"


def day(moment: str) -> str:
    """Return date and minute of an ISO 8601 time."""
    return moment[:16].replace("T", " ")
