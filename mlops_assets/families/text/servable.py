"""What is served: an ONNX file, a tokenizer and settings; onnxruntime and tokenizers are all it needs.

Messages go through one at a time: an INT8 network scales its activations by what else is in a batch, and an answer
must not depend on its neighbours. One thread each, so that many workers share a machine.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from mlops_assets.core.errors import Corrupt
from mlops_assets.core.family import Predictor
from mlops_assets.families.text.answers import SETTINGS, Answering, answer

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"


def load(servable: Path) -> Predictor:
    """Load a servable folder, or a companion's; Corrupt if it is none."""
    if not (servable / SETTINGS).is_file():
        raise Corrupt(f"{servable} is no text servable: it has no {SETTINGS}.", "Export the model again.")
    how = Answering.model_validate_json((servable / SETTINGS).read_bytes())
    if how.kind == "tfidf":
        from mlops_assets.families.text.classical import Classical

        return Classical(servable, how)
    return Encoder(servable, how)


class Encoder:
    """An encoder in an ONNX file, ready to answer."""

    def __init__(self, servable: Path, how: Answering) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._how = how
        self._session = onnxruntime.InferenceSession(str(servable / MODEL), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(servable / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(how.max_length)

    def predict(self, inputs: Sequence[Path | JsonValue]) -> list[JsonValue]:
        """Return one answer per message; see `answers`."""
        return [self._one(str(text)) for text in inputs]

    def _one(self, text: str) -> JsonValue:
        tokens = np.array([self._tokenizer.encode(text).ids], np.int64)
        (logits,) = self._session.run(["logits"], {"input_ids": tokens, "attention_mask": np.ones_like(tokens)})
        return answer(np.asarray(logits)[0], self._how)
