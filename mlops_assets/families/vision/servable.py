"""What is judged and served: a `.tflite` file or a mean-colour rule, with its labels and preprocessing in JSON.

Only ai-edge-litert, Pillow and numpy are needed here: no TensorFlow.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, JsonValue, TypeAdapter

from mlops_assets.core.family import Predictor
from mlops_assets.core.records.base import Record
from mlops_assets.families.vision.pictures import read_picture

SERVABLE, MODEL = "vision.json", "model.tflite"
DIGITS = 6


class Preprocessing(Record):
    """How a picture becomes the model's input; for programs in other languages."""

    crop: Literal["middle square"] = "middle square"
    resize: Literal["antialiased bilinear"] = "antialiased bilinear"
    size: int = Field(description="Pixels a side")
    colours: Literal["RGB"] = "RGB"
    values: tuple[float, float] = Field(description="What a pixel's 0 and 255 become")


class Network(Record):
    """A `.tflite` file: 'int8' takes and gives uint8, 'float' takes float32 of -1 to 1 and gives float32."""

    kind: Literal["tflite"] = "tflite"
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    precision: Literal["int8", "float"]
    threads: int


class MeanColour(Record):
    """Softmax regression on the mean colour of the picture's middle: logits = colour @ weights + bias."""

    kind: Literal["mean_colour"] = "mean_colour"
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    weights: tuple[tuple[float, ...], ...] = Field(description="Red, green and blue by label")
    bias: tuple[float, ...]


Servable = Annotated[Network | MeanColour, Field(discriminator="kind")]
_SERVABLE: TypeAdapter[Network | MeanColour] = TypeAdapter(Servable)


def write_servable(folder: Path, servable: Network | MeanColour) -> None:
    """Write `vision.json` of a servable folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SERVABLE).write_text(json.dumps(servable.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")


def load(folder: Path) -> Predictor:
    """Load a servable folder of either kind."""
    known = _SERVABLE.validate_json((folder / SERVABLE).read_bytes())
    return _Colours(known) if isinstance(known, MeanColour) else _Interpreter(known, folder / MODEL)


class _Classifier:
    """From picture files to labels with probabilities; pictures are looked at one by one."""

    def __init__(self, labels: tuple[str, ...], size: int) -> None:
        self._labels, self._size = labels, size

    def predict(self, inputs: Sequence[Path | JsonValue]) -> list[JsonValue]:
        """Return, per picture file, {'label', 'confidence', 'probabilities'}; of equal ones the first label."""
        return [self._answer(read_picture(Path(str(path)), self._size).pixels) for path in inputs]

    def _answer(self, pixels: np.ndarray) -> JsonValue:
        shares = self.probabilities(pixels)
        shares = [round(float(share), DIGITS) for share in shares / shares.sum()]
        best = max(range(len(shares)), key=shares.__getitem__)
        return {
            "label": self._labels[best],
            "confidence": shares[best],
            "probabilities": dict(zip(self._labels, shares, strict=True)),
        }

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Return the classes' probabilities for uint8 pixels (size, size, 3)."""
        raise NotImplementedError


class _Interpreter(_Classifier):
    """A `.tflite` file in LiteRT's interpreter."""

    def __init__(self, known: Network, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        super().__init__(known.labels, known.preprocessing.size)
        self._interpreter: Any = Interpreter(model_path=str(path), num_threads=known.threads)
        self._interpreter.allocate_tensors()
        (self._input,), (self._output,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Run the model."""
        values = pixels if self._input["dtype"] == np.uint8 else pixels.astype(np.float32) / 127.5 - 1
        self._interpreter.set_tensor(self._input["index"], values[None].astype(self._input["dtype"]))
        self._interpreter.invoke()
        found = self._interpreter.get_tensor(self._output["index"])[0].astype(np.float64)
        scale, zero = self._output["quantization"]
        return (found - zero) * scale if scale else found


class _Colours(_Classifier):
    """The mean-colour rule."""

    def __init__(self, known: MeanColour) -> None:
        super().__init__(known.labels, known.preprocessing.size)
        self._weights, self._bias = np.array(known.weights), np.array(known.bias)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Apply the softmax to the mean colour's logits."""
        logits = mean_colour(pixels) @ self._weights.T + self._bias
        shares = np.exp(logits - logits.max())
        return shares / shares.sum()


def mean_colour(pixels: np.ndarray) -> np.ndarray:
    """Return the mean red, green and blue, 0 to 1, of the middle half of uint8 pixels (size, size, 3)."""
    quarter = len(pixels) // 4
    return pixels[quarter:-quarter, quarter:-quarter].mean(axis=(0, 1)) / 255
