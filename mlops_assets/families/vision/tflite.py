"""Write the network as a `.tflite` file, of floats or fully of 8-bit integers, the same bytes every time.

The float file takes values -1 to 1; the INT8 file takes the pixels' bytes, which stand for the same values.
Probabilities come out, as bytes where bytes went in. The ranges of INT8 are measured on pictures that the model folder
carries.
"""

import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from mlops_assets.families.vision.network import Network, scaled
from mlops_assets.families.vision.starting import quietly


def convert(network: Network, precision: Literal["int8", "float"], calibration: np.ndarray) -> bytes:
    """Return the bytes of a `.tflite` file; `calibration` are uint8 pictures (n, size, size, 3).

    Variables become constants before the converter sees them: it takes half the time, and no temporary folder.
    """
    size = network.settings.size
    picture = tf.TensorSpec((1, size, size, 3), tf.float32, name="image")
    whole = tf.function(
        lambda image: {"probabilities": tf.nn.softmax(network.logits(image))}, input_signature=[picture]
    )
    with quietly(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")  # they are measured on `calibration`
        frozen = convert_variables_to_constants_v2(whole.get_concrete_function())
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
        if precision == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            pixels = calibration.copy()
            pixels[0, 0, :2] = [[0], [255]]  # the whole range, so that a byte of the input is a pixel's
            converter.representative_dataset = lambda: ([scaled(each[None])] for each in pixels)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.uint8
        content: Any = converter.convert()
    return bytes(content)


def write(path: Path, content: bytes) -> None:
    """Write a file in a folder that may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
