"""A line's rollout in Dagster: an asset whose materializations carry the judge's chart, and the sensor that ticks it.

`mlops watch`, beside the gateway, looks each second; this sensor looks as well, so that a rollout is judged while only
the daemon runs, and writes down what was seen. Both may: an event is counted once.
"""

import json

import dagster as dg

from mlops_assets.components.display import Metadata, picture, table
from mlops_assets.core.line import Line
from mlops_assets.core.orchestration import LINE_TAG
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.rollout_verdict import TITLES
from mlops_assets.lifecycle.monitoring.rollout_chart import chart_png
from mlops_assets.lifecycle.monitoring.watched import RolloutState
from mlops_assets.lifecycle.monitoring.watching import look

LOOK_SECONDS = 10
AGAIN_SECONDS = 60  # between two materializations in which nothing but figures changed


def rollout_asset(line: Line) -> dg.AssetSpec:
    """Return the asset that stands for what is being rolled out."""
    return dg.AssetSpec(
        dg.AssetKey([line.line, "rollout"]),
        deps=[dg.AssetKey([line.line, "deployed_version"])],
        group_name=line.line,
        description="The version that is on its way to all users, as its judge sees it: evidence, verdict, reasons.",
        kinds={"python"},
        owners=list(line.owners),
        tags={"line": line.line, "family": line.family},
    )


def watch_sensor(line: Line) -> dg.SensorDefinition:
    """Return the sensor that looks at a line and materializes its rollout when it moved."""
    key = dg.AssetKey([line.line, "rollout"])

    @dg.sensor(
        name=f"{line.line}_watch",
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        tags={LINE_TAG: line.line},
        description=f"Judges what is rolled out of {line.line}, acts on the verdict, and samples its health.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> dg.SensorResult | dg.SkipReason:
        now = platform.clock()
        looked = look(platform, line, now)
        for said in looked.did:
            context.log.info(said)
        shown = looked.state.rollout or looked.state.last
        told = json.loads(context.cursor or "{}")
        mark = _mark(shown)
        if shown is None or mark == told.get("mark"):
            return dg.SkipReason(f"Nothing new of {line.line}: {looked.events} events.")
        figures_alone = mark[:-1] == (told.get("mark") or [])[:-1]
        if figures_alone and now.timestamp() - told["at"] < AGAIN_SECONDS:
            return dg.SkipReason(f"{looked.events} events of {line.line} were counted.")
        return dg.SensorResult(
            asset_events=[dg.AssetMaterialization(key, metadata=describe(shown))],
            cursor=json.dumps({"mark": mark, "at": now.timestamp()}),
        )

    return sensor


def describe(state: RolloutState) -> Metadata:
    """Return what a person sees of a rollout: verdict, reasons, shares, evidence and its chart."""
    judged = state.judged
    rows = [
        {
            "signal": TITLES[each.signal],
            "new version": _share(each.canary),
            "held against": _share(each.stable),
            "n": each.n,
            "e-value": f"10^{each.log10_e:.2f}",
            "limit": f"10^{each.log10_limit:.2f}",
            "worse by at most": _share(each.bound),
            "margin": _share(each.margin),
        }
        for each in (judged.signals if judged else ())
    ]
    steps = [
        {
            "share": f"{step.share:.0%}",
            "new version": f"{step.canary.requests} requests, {step.canary.errors} errors",
            "production": f"{step.stable.requests} requests, {step.stable.errors} errors",
        }
        for step in state.steps
    ]
    return {
        "version": state.version,
        "against": state.against,
        "strategy": state.strategy,
        "share": state.share,
        "ended": state.ended or "no, it runs",
        **({"held": state.held} if state.held else {}),
        **({"verdict": judged.verdict, "reasons": "; ".join(judged.reasons)} if judged else {}),
        **({"signals": table(rows)} if rows else {}),
        **({"steps": table(steps)} if steps else {}),
        **({"chart": picture(chart_png(state))} if state.chart else {}),
    }


def _mark(state: RolloutState | None) -> list[object]:
    """Return what a rollout is told apart by from what was written down; figures last."""
    if state is None:
        return []
    verdict = state.judged.verdict if state.judged else ""
    requests = state.chart[-1].requests if state.chart else 0
    return [state.version, state.began_at, state.share, state.held, state.ended, verdict, requests]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"
