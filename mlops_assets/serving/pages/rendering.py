"""How a page of the gateway is made: one style, one small script, nothing inline and nothing from elsewhere.

The templates and the tokens of the style are those of the reports, with what a page needs that people act on.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from mlops_assets.core.digests import sha256_bytes
from mlops_assets.lifecycle import pages
from mlops_assets.lifecycle.decide.questions import questions
from mlops_assets.serving.door.access import Caller
from mlops_assets.serving.pages.charts import number
from mlops_assets.wiring.settings import read_settings

FOLDER = Path(__file__).parent
# Reports are whole in one file, styled inline, and act on nothing: they may not even run a script.
REPORT_POLICY = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-top-navigation-by-user-activation"
}


@dataclass(frozen=True)
class Asset:
    """A file that every page loads; its digest is in its address, so that it may be kept for ever."""

    content: bytes
    content_type: str

    @property
    def digest(self) -> str:
        """The start of its sha256."""
        return sha256_bytes(self.content)[:16]


@functools.cache
def assets() -> dict[str, Asset]:
    """Return the style and the script by name; the style begins with that of the reports."""
    style = (Path(pages.__file__).parent / "page.css").read_bytes() + (FOLDER / "style.css").read_bytes()
    return {
        "style.css": Asset(style, "text/css; charset=utf-8"),
        "live.js": Asset((FOLDER / "live.js").read_bytes(), "text/javascript; charset=utf-8"),
    }


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page for the caller of a request."""
    caller: Caller = request.scope["caller"]
    settings = read_settings()
    text = (
        _environment()
        .get_template(template)
        .render(
            caller=caller,
            path=request.url.path,
            now=request.app.state.platform.clock(),
            waiting=len(questions(request.app.state.platform)),
            dagster_ui=settings.dagster_ui,
            tracking_ui=settings.tracking_ui,
            assets={name: f"/static/{name}?{asset.digest}" for name, asset in assets().items()},
            **values,
        )
    )
    return HTMLResponse(text, status)


@functools.cache
def _environment() -> Any:
    environment = pages.templates("serving/pages", "lifecycle")
    filters: dict[str, Callable[..., str]] = {"ago": ago, "ms": milliseconds, "score": score, "evalue": evalue}
    environment.filters |= filters
    return environment


def ago(moment: str, now: datetime) -> str:
    """Return how long ago an ISO 8601 time was, in the largest unit of which there is more than one."""
    seconds = (now - datetime.fromisoformat(moment)).total_seconds()
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    whole = round(max(seconds, 0))
    return f"{whole} second{'s' * (whole != 1)} ago"


def milliseconds(value: float | None) -> str:
    """Return a latency given in ms with its unit, a dash for none."""
    return "–" if value is None else pages.duration(value / 1_000)


def score(value: float | None) -> str:
    """Return a score (0..1) with two digits, a dash for none."""
    return "–" if value is None else f"{value:.2f}"


def evalue(log10: float) -> str:
    """Return an e-value given its log10."""
    return number(10**log10) if abs(log10) < 5 else f"1e{log10:+.0f}"
