"""A model in a process of its own: it loads one servable and answers the gateway that started it.

`python -m mlops_assets.serving.engine.model_worker DESCRIPTOR` speaks `frames` over an inherited socket. A crash, a
leak or a hang of a model is this process's alone; the gateway ends it and starts another. Nothing of training is
imported but what the family's predictor itself needs.
"""

import gc
import json
import socket
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import orjson
from pydantic import BaseModel, JsonValue

from mlops_assets.adapters.child import die_with_parent, pin_threads
from mlops_assets.core.family import Family, Predictor
from mlops_assets.serving.engine import frames
from mlops_assets.wiring.families import family_config, load_family, vendor_packages

LONGEST_SHOWN = 2_000  # characters of an answer's short text
Result = tuple[int, bytes, str]  # letter, JSON, short text or sentence


class Model:
    """A loaded servable; media files live in `folder` while they are looked at."""

    def __init__(self, family: Family, config: BaseModel, predictor: Predictor, folder: Path) -> None:
        self._family = family
        self._config = config
        self._predictor = predictor
        self._folder = folder

    def answer(self, request: Sequence[bytes]) -> list[bytes]:
        """Return the answer's parts for a request's parts."""
        letters, *parts = request
        inputs = [self._input(at, letters[at : at + 1], part) for at, part in enumerate(parts)]
        try:
            results = self._results(inputs)
        finally:
            for each in inputs:
                if isinstance(each, Path):
                    each.unlink(missing_ok=True)
        said = (part for _, body, text in results for part in (body, text.encode(errors="replace")))
        return [bytes(letter for letter, _, _ in results), *said]

    def _input(self, at: int, letter: bytes, part: bytes) -> Path | JsonValue:
        if letter == frames.JSON:
            return orjson.loads(part)
        path = self._folder / str(at)
        path.write_bytes(part)
        return path

    def _results(self, inputs: Sequence[Path | JsonValue]) -> list[Result]:
        problems = [self._family.refuse(each, self._config) for each in inputs]
        good = [each for each, problem in zip(inputs, problems, strict=True) if not problem]
        answers = iter(self._predicted(good))
        return [(frames.PROBLEM, b"", problem) if problem else next(answers) for problem in problems]

    def _predicted(self, inputs: list[Path | JsonValue]) -> list[Result]:
        """Predict together; if that fails one by one, so that an input costs its neighbours nothing."""
        if not inputs:
            return []
        try:
            outputs = self._predictor.predict(inputs)
            if len(outputs) != len(inputs):
                raise ValueError(f"{len(outputs)} answers for {len(inputs)} inputs")
            return [self._said(output) for output in outputs]
        except Exception as error:
            if len(inputs) > 1:
                return [result for each in inputs for result in self._predicted([each])]
            traceback.print_exc()
            return [(frames.FAILURE, b"", f"{type(error).__name__}: {error}")]

    def _said(self, output: JsonValue) -> Result:
        """Return an answer; raises if it is not JSON: orjson would write null for NaN and say nothing."""
        body = orjson.dumps(output)
        if b"null" in body:
            json.dumps(output, allow_nan=False)
        return frames.ANSWER, body, self._family.show(output)[:LONGEST_SHOWN]


def main(arguments: list[str]) -> int:
    """Load what the gateway says, and answer until it hangs up."""
    pin_threads()
    die_with_parent()
    with socket.socket(fileno=int(arguments[0])) as channel, channel.makefile("rb") as incoming:
        first = frames.read(incoming)
        if first is None:
            return 0
        try:
            model = load(frames.Servable.parse(first[0]))
        except Exception as error:
            traceback.print_exc()
            channel.sendall(frames.packed([frames.FAILED, f"{type(error).__name__}: {error}".encode()]))
            return 1
        gc.collect()
        gc.freeze()
        channel.sendall(frames.packed([frames.READY]))
        while request := frames.read(incoming):
            channel.sendall(frames.packed(model.answer(request)))
    return 0


def load(wanted: frames.Servable) -> Model:
    """Load a servable for the line that it is of."""
    family = load_family(wanted.family)
    config = family_config(family, wanted.config, where="the line")
    with vendor_packages(wanted.family):
        return Model(family, config, family.load(Path(wanted.path)), Path(wanted.folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
