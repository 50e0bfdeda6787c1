"""The network as an ONNX graph, vocabularies and scaling included; `servable.py` says what goes in and comes out."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.families.preference.model import Model
from mlops_assets.families.preference.network import cuts

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8


class Graph:
    """Nodes and constants as they are added; a node is known by the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, inputs: Sequence[Any], output: str, *, domain: str = "", **attributes: Any) -> str:
        """Add a node and return its output; an input that is no name becomes a constant."""
        from onnx import helper, numpy_helper

        names = []
        for at, value in enumerate(inputs):
            names.append(value if isinstance(value, str) else f"{output}.{at}")
            if not isinstance(value, str):
                self.constants.append(numpy_helper.from_array(np.asarray(value), names[-1]))
        self.nodes.append(helper.make_node(kind, names, [output], domain=domain, **attributes))
        return output

    def index(self, column: str, known: Sequence[str]) -> str:
        """Number the names of a column from 1; all others are 0."""
        keys, values = ["", *known], list(range(len(known) + 1))
        names = {"keys_strings": keys, "values_int64s": values, "default_int64": 0}
        return self.add("LabelEncoder", [column], f"{column}.index", domain="ai.onnx.ml", **names)

    def standardised(self, column: str, least: float, most: float, log: bool, mean: float, deviation: float) -> str:
        """Clip and scale a number; a missing one is the average, 0."""
        value = self.add("Clip", [column, least, most], f"{column}.clipped")
        if log:
            value = self.add("Log", [self.add("Add", [value, 1.0 - least], f"{column}.above")], f"{column}.log")
        value = self.add("Div", [self.add("Sub", [value, mean], f"{column}.centred"), deviation], f"{column}.scaled")
        value = self.add("Where", [self.add("IsNaN", [column], f"{column}.missing"), 0.0, value], f"{column}.number")
        return self.add("Unsqueeze", [value, np.array([1])], f"{column}.column")


def write_graph(model: Model, path: Path) -> None:
    """Write the model as `path`; equal models give equal bytes."""
    import onnx
    from onnx import TensorProto, helper

    shape = model.shape
    graph = _body(model)
    texts = [helper.make_tensor_value_info(name, TensorProto.STRING, ["n"]) for name in (shape.user, *shape.categories)]
    numbers = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["n"]) for name in shape.numbers]
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["n", shape.levels]),
        helper.make_tensor_value_info("rating", TensorProto.DOUBLE, ["n"]),
        helper.make_tensor_value_info("probability", TensorProto.DOUBLE, ["n"]),
        helper.make_tensor_value_info("known_user", TensorProto.BOOL, ["n"]),
    ]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "preference", [*texts, *numbers], outputs, graph.constants),
        producer_name="mlops_assets",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
    )
    onnx.checker.check_model(made)
    path.write_bytes(made.SerializeToString(deterministic=True))


def _body(model: Model) -> Graph:
    shape, weights, graph = model.shape, model.weights, Graph()
    parts = [
        graph.add("Gather", [weights[f"column:{name}"], graph.index(name, known)], f"{name}.row")
        for name, known in shape.categories.items()
    ]
    for name, (least, most, log) in shape.numbers.items():
        parts.append(graph.standardised(name, least, most, log, *shape.scales.get(name, (0.0, math.inf))))
    inputs = graph.add("Concat", parts, "inputs", axis=1)
    mixed = graph.add("Add", [graph.add("MatMul", [inputs, weights["hidden"]], "mixed"), weights["hidden_bias"]], "sum")
    described = graph.add("Concat", [inputs, graph.add("Tanh", [mixed], "hidden")], "described", axis=1)
    quality = graph.add("MatMul", [described, weights["quality"][:, None]], "quality")
    taste = graph.add("MatMul", [described, weights["taste"]], "taste")
    who = graph.index(shape.user, shape.users)
    matched = graph.add("Mul", [taste, graph.add("Gather", [weights["user"][:, :-1], who], "factors")], "matched")
    personal = graph.add("ReduceSum", [matched, np.array([1])], "personal", keepdims=1)
    harshness = graph.add("Gather", [weights["user"][:, -1:], who], "generosity")
    score = graph.add("Add", [graph.add("Add", [quality, personal], "valued"), harshness], "score")
    above = graph.add("Sigmoid", [graph.add("Sub", [score, cuts(weights)], "margins")], "above")
    steps = np.diff(np.eye(shape.levels), axis=0)
    first = np.eye(shape.levels)[0]
    graph.add("Add", [graph.add("MatMul", [above, steps], "steps"), first], "probabilities")
    levels = graph.add("ReduceSum", [above, np.array([1])], "levels", keepdims=0)
    graph.add("Add", [levels, float(shape.lowest_rating)], "rating")
    graph.add("Gather", [above, np.array(shape.like_threshold - shape.lowest_rating - 1)], "probability", axis=1)
    graph.add("Greater", [who, np.array(0)], "known_user")
    return graph
