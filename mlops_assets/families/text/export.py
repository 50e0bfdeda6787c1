"""From a model folder to a servable one: an ONNX file in float or INT8, the tokenizer, and how to answer.

The exporter by tracing is used, for it is thirty times faster than the one by dynamo and its graph can be quantised
as it is. The same model gives the same bytes.
"""

import logging
import math
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import PreTrainedModel

from mlops_assets.families.text.answers import SETTINGS, answering
from mlops_assets.families.text.config import Config
from mlops_assets.families.text.servable import MODEL, TOKENIZER
from mlops_assets.families.text.weights import load_network, reach

OPSET = 17


def export(model: Path, out: Path, config: Config, precision: Literal["int8", "float"]) -> None:
    """Write the servable folder `out` for the model folder `model`."""
    out.mkdir(parents=True, exist_ok=True)
    network = load_network(model, config)
    write_onnx(network, out / MODEL, precision)
    shutil.copyfile(model / TOKENIZER, out / TOKENIZER)
    kind = str(network.config.model_type)
    how = answering("onnx", config, reach(model, config.max_length), f"Classified by a fine-tuned {kind} model.")
    (out / SETTINGS).write_text(how.model_dump_json(indent=1) + "\n", "utf-8")


def write_onnx(network: PreTrainedModel, path: Path, precision: Literal["int8", "float"]) -> None:
    """Write an encoder as an ONNX file: `input_ids`, `attention_mask` (messages, tokens) to `logits`."""
    network.eval()
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        whole = Path(scratch) / "float.onnx"
        _trace(network, whole)
        if precision == "int8":
            left = _left_in_float(whole)
            quantize_dynamic(whole, path, weight_type=QuantType.QInt8, per_channel=True, nodes_to_exclude=left)
        else:
            shutil.copyfile(whole, path)
    _forget_places(path)


class _Logits(torch.nn.Module):
    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.network(input_ids=input_ids, attention_mask=attention_mask).logits


def _trace(network: PreTrainedModel, path: Path) -> None:
    tokens = torch.ones((2, 7), dtype=torch.long)
    axes = {0: "messages", 1: "tokens"}
    torch.onnx.export(
        _Logits(network),
        (tokens, torch.ones_like(tokens)),
        str(path),
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "messages"}},
        opset_version=OPSET,
        dynamo=False,
    )


def _left_in_float(path: Path) -> list[str]:
    """Return the products that INT8 would harm: those that narrow (the second of a feed-forward pair), lowest sixth.

    Their inputs have a few values far from the others, and one scale for all of them leaves the others coarse. On a
    MiniLM tuned for eight labels, 97.3 % of 976 messages keep their label when everything is quantised, 98.7 % so;
    of its 320 golden ones, on which a short training leaves it unsure, 96 to 98 %. More products in float keep more
    labels and cost the speed that INT8 is for.
    """
    network = onnx.load(path, load_external_data=False).graph
    shapes = {each.name: each.dims for each in network.initializer}
    products = [node for node in network.node if node.op_type == "MatMul" and node.input[1] in shapes]
    narrow = [each.name for each in products if shapes[each.input[1]][0] >= 2 * shapes[each.input[1]][1]]
    return narrow[: math.ceil(len(narrow) / 6)]


def _forget_places(path: Path) -> None:
    """Remove notes about where a node came from: they name files of this machine."""
    network = onnx.load(path)
    for node in network.graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    del network.metadata_props[:]
    path.write_bytes(network.SerializeToString(deterministic=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves that tracing is the older way, fixes Python branches, and wants no preparation to quantise."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # pyright: ignore[reportPrivateImportUsage]
            warnings.filterwarnings("ignore", "Exporting aten::index", UserWarning)
            yield
    finally:
        root.setLevel(level)
