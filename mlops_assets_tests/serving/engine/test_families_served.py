"""Every family on disk, from a client's bytes through a gateway to a model in a process of its own, and back."""

import asyncio
import base64
import importlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest

from mlops_assets.core.dataset import item_input, read_items
from mlops_assets.core.line import EvaluationSet, Line
from mlops_assets.core.policy import Margin, Policy
from mlops_assets.lifecycle.deployment.bootstrapping import bootstrap
from mlops_assets.serving.engine.exchange import Inputs, replies_of
from mlops_assets.serving.engine.frames import Blob, Servable
from mlops_assets.serving.engine.process import WorkerProcess
from mlops_assets.wiring.families import load_family
from mlops_assets_tests.families import conformance, junk
from mlops_assets_tests.families.examples import Example
from mlops_assets_tests.platform_fixture import InProcess, make_platform
from mlops_assets_tests.serving.gateway_fixture import Gateway, gateway_of

LOAD_SECONDS = 120
FAMILIES = conformance.names()
CONTENT_TYPE = {"audio": "audio/wav", "image": "image/png"}
TRAINERS = ("torch", "tensorflow", "sklearn", "h5py", "onnx", "pyarrow", "pandas")


def example(name: str) -> Example:
    return importlib.import_module(f"mlops_assets_tests.families.examples.{name}").EXAMPLE


@dataclass(frozen=True)
class Served:
    """A gateway in which every family is a line of its own name, its base model version 1; and good inputs."""

    gateway: Gateway
    inputs: dict[str, list[Any]]

    def line(self, name: str) -> Line:
        return next(line for line in self.gateway.platform.lines() if line.line == name)

    def state(self, name: str) -> str:
        """What the gateway says of the line's one version."""
        (version,) = self.gateway.app.state.engine.loaded()[name]
        assert version.state != "failed", version.problem
        return version.state

    def media(self, name: str) -> str:
        return self.gateway.platform.family(name).media

    def expected(self, name: str, inputs: list[Any]) -> list[Any]:
        """What the family's own predictor says."""
        live = self.gateway.platform.serving.live(name)
        assert live is not None
        return self.gateway.platform.family(name).load(Path(live.production.path)).predict(inputs)

    def post(self, name: str, **body: Any) -> httpx.Response:
        with self.gateway.client("contributor") as client:
            return client.post(f"/v1/lines/{name}/predict", **body)

    def send(self, name: str, value: Any) -> httpx.Response:
        """Send one input as a client would: a file as it is, anything else as JSON."""
        if not isinstance(value, Path):
            return self.post(name, json={"input": value})
        return self.post(name, content=value.read_bytes(), headers={"Content-Type": CONTENT_TYPE[self.media(name)]})


def as_json(value: Any) -> Any:
    return {"base64": base64.b64encode(value.read_bytes()).decode()} if isinstance(value, Path) else value


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("families")
    here = [name for name in FAMILIES if not conformance.missing(example(name))]
    lines, inputs = [], {}
    for name in here:
        values = example(name).config(folder / name)
        family = load_family(name)
        config = family.Config.model_validate(values)
        batch = example(name).batch(folder / name / "batch", 1)
        family.check(batch, folder / name / "data", config, lambda _: None)
        inputs[name] = [item_input(folder / name / "data", item) for item in read_items(folder / name / "data")][:3]
        lines.append(
            Line(
                line=name,
                family=name,
                config=config.model_dump(mode="json"),
                golden=EvaluationSet(path=str(batch), origin="synthetic"),
                policy=Policy(primary=Margin(metric=family.metrics(config)[0].name, margin=0.1), bootstrap="approve"),
            )
        )
    platform = make_platform(folder, compute=InProcess(), lines=lambda: lines)
    for line in lines:
        bootstrap(platform, line)
    with gateway_of(platform, lines[0]) as gateway:
        served = Served(gateway, inputs)
        ends = time.monotonic() + LOAD_SECONDS
        while any(served.state(name) != "ready" for name in here):
            assert time.monotonic() < ends, gateway.app.state.engine.loaded()
            time.sleep(0.05)
        yield served


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    if absent := conformance.missing(example(request.param)):
        pytest.skip(f"{request.param} needs {', '.join(absent)}")
    return request.param


def test_one_input_is_answered_as_the_model_answers_it(served: Served, family: str) -> None:
    one = served.inputs[family][0]
    answer = served.send(family, one)
    assert answer.status_code == 200, answer.text
    assert answer.json()["output"] == served.expected(family, [one])[0]
    assert (answer.json()["version"], answer.json()["arm"]) == (1, "production")
    assert answer.json()["prediction_id"]


def test_several_inputs_are_answered_in_order(served: Served, family: str) -> None:
    inputs = served.inputs[family]
    answer = served.post(family, json={"inputs": [as_json(each) for each in inputs], "user": "ann"})
    assert answer.status_code == 200, answer.text
    assert [each["output"] for each in answer.json()["predictions"]] == served.expected(family, inputs)


def test_what_cannot_be_predicted_is_told_by_its_number_and_costs_nothing_else(
    served: Served, family: str, tmp_path: Path
) -> None:
    media, known = served.media(family), served.gateway.platform.family(family).findings
    own = {"audio": "a recording", "image": "a picture"}.get(media)
    bad: dict[str, Any] = {}
    if own:
        bad = junk.written(tmp_path, {name: each for name, each in junk.files().items() if each and name != own})
        bad.pop("a picture of one pixel")
    else:
        wanted = ("null", "a number", "blanks", "a NUL", "an empty list", "numbers where texts belong")
        bad = {name: junk.VALUES[name] for name in wanted}
    for name, value in bad.items():
        answer = served.send(family, value)
        said = answer.json()["error"]
        assert (answer.status_code, said["code"]) == (422, "invalid"), (name, answer.text)
        assert any(f"({code})" in said["message"] for code in known), (name, said)
    assert served.send(family, served.inputs[family][0]).status_code == 200
    assert served.state(family) == "ready"


def test_another_medium_is_told_which_is_taken(served: Served, family: str) -> None:
    for content_type in {"audio/wav", "image/png", "text/csv"} - {CONTENT_TYPE.get(served.media(family))}:
        answer = served.post(family, content=b"something", headers={"Content-Type": content_type})
        assert answer.status_code == 415, answer.text


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads which libraries a process has mapped")
def test_no_training_framework_is_in_the_process_that_serves(served: Served, family: str) -> None:
    mapped = asyncio.run(libraries(served, family))
    assert mapped
    assert [path for path in mapped if any(f"/site-packages/{name}/" in path for name in TRAINERS)] == []


async def libraries(served: Served, name: str) -> set[str]:
    """Start a model worker as a gateway does, let it answer, and return the files that it has mapped."""
    live = served.gateway.platform.serving.live(name)
    assert live is not None
    wanted = Servable(family=name, config=served.line(name).config, path=live.production.path, folder="")
    process = WorkerProcess()
    await process.start(wanted, root=served.gateway.platform.root, seconds=60)
    try:
        one = served.inputs[name][0]
        asked = Inputs.of([Blob(one.read_bytes()) if isinstance(one, Path) else one])
        (reply,) = replies_of(await process.exchange([asked.letters, *asked.parts]), 1)
        assert orjson.loads(reply.body) == served.expected(name, [one])[0]
        return {each.path for each in psutil.Process(process.pid).memory_maps()}
    finally:
        await process.close()
