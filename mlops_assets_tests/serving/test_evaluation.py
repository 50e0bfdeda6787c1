"""The scores of a version by the client's `evaluate_model`: its own evaluation, or the other side of the next one."""

from mlops_assets.client import Pipeline, PipelineConfig
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets_tests.serving.gateway_fixture import Gateway
from mlops_assets_tests.serving.lived_in import lived_in, seen_gateway

__all__ = ["lived_in", "seen_gateway"]


def test_a_version_has_the_scores_that_it_was_released_by(seen_gateway: Gateway) -> None:
    config = PipelineConfig(url=seen_gateway.url, key=seen_gateway.keys["viewer"], line="topics")
    pipeline = Pipeline(config)
    base, released = (pipeline.evaluate_model(model_version=version) for version in (1, 2))
    pipeline.close()
    report = seen_gateway.platform.records.get("topics", released["batch_id"], "eval_report")
    assert isinstance(report, EvalReport)
    accuracy = next(each for each in report.comparisons if each.metric == "accuracy" and each.set_name == "golden")
    assert (base["metrics"]["accuracy"], released["metrics"]["accuracy"]) == (accuracy.production, accuracy.candidate)
    assert base["batch_id"] == released["batch_id"]
    assert released["metrics"]["accuracy"] > base["metrics"]["accuracy"]
    assert all(each["origin"] == "synthetic" for each in released["scores"])
