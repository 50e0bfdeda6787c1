"""The chart of a rollout: how the evidence grew against the limits, and which part of the users it had."""

from datetime import datetime

from mlops_assets.core.rollout_verdict import TITLES
from mlops_assets.lifecycle import plots
from mlops_assets.lifecycle.monitoring.watched import RolloutState

COLOURS = ("#c0392b", "#2f7fd1", "#8d6fd1", "#c9962b", "#2f9e77", "#8a8f98")


def chart_png(state: RolloutState) -> bytes:
    """Draw log10 of each signal's e-value over canary requests, as part of its limit, above the share of users."""
    made = plots.figure(5.2)
    evidence, share = plots.drawn(made, 2)
    requests = [each.requests for each in state.chart]
    highest = max(each.log10_e[signal] / limit for each in state.chart for signal, limit in state.limits.items())
    for (signal, limit), colour in zip(state.limits.items(), COLOURS, strict=True):
        parts = [each.log10_e[signal] / limit for each in state.chart]
        evidence.plot(requests, parts, color=colour, linewidth=1.5, label=TITLES[signal])
    evidence.axhline(1, color=plots.INK, linewidth=1, linestyle="--", alpha=0.6)
    evidence.set_ylim(-1.5, max(1.3, 1.1 * highest))
    began = datetime.fromisoformat(state.began_at)
    minutes = [(datetime.fromisoformat(each.at) - began).total_seconds() / 60 for each in state.chart]
    share.step(minutes, [100 * each.share for each in state.chart], where="post", color=plots.COLOURS["candidate"])
    share.set_ylim(0, 105)
    plots.named(
        evidence,
        x="requests answered by the new version",
        y="log e-value / its limit",
        title="evidence of harm; at the dashed line it is taken back",
    )
    plots.named(share, x="minutes since it began", y="% of users")
    plots.legend(made, columns=3)
    return plots.png(made)
