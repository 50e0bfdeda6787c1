"""Checking pictures, the INT8 file against the one of floats, and a training step against plain matrix products.

Checking, target: at least 0.7 of the pace of the least anyone must do, decode each file with Pillow and take its
sha256, per format; pictures of one megapixel, in the page cache, one process. The check also judges sharpness, light
and colours, fingerprints every picture for duplicates and leaks, and writes the dataset.

INT8 against floats: latency of one picture on one thread through LiteRT, bytes, and on how many pictures of the golden
set (synthetic) both name the same class, after a short training on the sample batch. A training step is held against
TensorFlow's own product of matrices of a pointwise convolution's shape, with as many floating-point operations as the
step's convolutions need. Without the base weights (`make setup`) these figures are left out.

Learned: a JPEG decodes straight to an eighth, a quarter or a half of its size, which pays for much of what a check
does besides; a box filter before the last scaling halves its time; Pillow's choice of PNG filters cost more than all
judging. INT8 first named another class for nine pictures in a hundred, and for ten with activations of 16 bits: it was
the rounding of weights. Training on weights that are on their 8-bit grid already left two or three.
"""

import hashlib
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "2"}

import numpy as np
import yaml
from alternate import alternate, show
from PIL import Image

from mlops_assets.core.dataset import item_input, read_items
from mlops_assets.families.vision import FAMILY

ROOT = Path(__file__).parents[1]
BASE = ROOT / "data/models/mobilenetv2-160"
FORMATS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 85}, "PNG": {"compress_level": 6}, "WEBP": {"quality": 80}}
SIDE, BATCH, SEED = 1_000, 32, 1
ROWS, WIDTH, WIDER = 3_200, 96, 576


def photograph(seed: int) -> Image.Image:
    """Return a picture of smooth colours with the noise of a sensor."""
    draw = np.random.default_rng(seed)
    ground = Image.fromarray(draw.integers(0, 255, (12, 12, 3), np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    return Image.fromarray((np.asarray(ground) + draw.normal(0, 8, (SIDE, SIDE, 3))).clip(0, 255).astype(np.uint8))


def decode(folder: Path) -> None:
    """Do the least: read every file, hash its bytes, decode its pixels."""
    for path in sorted(folder.rglob("*.*")):
        hashlib.sha256(path.read_bytes()).digest()
        with Image.open(path) as picture:
            picture.load()


def checking(scratch: Path, quick: bool) -> dict[str, Any]:
    """Compare checking with decoding, per format."""
    config = FAMILY.Config.model_validate({"labels": ["a", "b"], "subject_hues": [[0, 160]]})
    figures = {}
    for form, options in FORMATS.items():
        folder = scratch / form
        for seed in range(8 if quick else 32):
            path = folder / "ab"[seed % 2] / f"{seed}.{form.lower()}"
            path.parent.mkdir(parents=True, exist_ok=True)
            photograph(seed).save(path, form, **options)

        def check(folder: Path = folder) -> int:
            return FAMILY.check(folder, Path(tempfile.mkdtemp(dir=scratch)), config, lambda _: None).kept

        assert check() == (8 if quick else 32)
        figures[f"raw decode + sha256 / check, {form}"] = alternate(lambda folder=folder: decode(folder), check)
    return figures


def line_config(quick: bool) -> Any:
    """Return the mango line's configuration."""
    declared = yaml.safe_load((ROOT / "mlops_assets/defs/mango/defs.yaml").read_text())["attributes"]["config"]
    short = {"head_epochs": 2, "fine_tune_epochs": 1} if quick else {}
    return FAMILY.Config.model_validate({**declared, **short, "base_weights": str(BASE)})


def exported(scratch: Path, config: Any) -> dict[str, Any]:
    """Train shortly, export both precisions, and compare them."""
    with zipfile.ZipFile(ROOT / "data/samples/mango/good.zip") as archive:
        archive.extractall(scratch / "batch")
    for source, name in ((scratch / "batch", "data"), (ROOT / "data/golden/mango", "golden")):
        FAMILY.check(source, scratch / name, config, lambda _: None)
    (scratch / "none").mkdir()
    (scratch / "none/items.jsonl").touch()
    FAMILY.base(config, scratch / "base")
    data, held_out, parent = (scratch / name for name in ("data", "none", "base"))
    FAMILY.train(data, held_out, parent, config, SEED, scratch / "run", lambda _: None)
    FAMILY.export(scratch / "run/model", scratch / "served", config)
    FAMILY.companions(scratch / "data", scratch / "run/model", scratch, config, SEED)
    items = read_items(scratch / "golden")
    inputs = [item_input(scratch / "golden", item) for item in items]
    named = {}
    for name in ("served", "reference", "classical"):
        answers = FAMILY.load(scratch / name).predict(inputs)
        named[name] = [FAMILY.show(answer) for answer in answers]
    served, reference = (scratch / name / "model.tflite" for name in ("served", "reference"))
    figures: dict[str, Any] = {
        "latency, floats / INT8": alternate(runner(reference), runner(served)),
        "bytes, INT8 / floats": served.stat().st_size / reference.stat().st_size,
        "INT8 names the class that floats name, share of 200 (synthetic)": _share(named["served"], named["reference"]),
    }
    targets = [str(item.target) for item in items]
    for name, title in (("served", "INT8"), ("reference", "floats"), ("classical", "mean colour")):
        figures[f"accuracy on the golden set (synthetic), {title}"] = _share(named[name], targets)
    return figures


def _share(some: list[str], others: list[str]) -> float:
    return float(np.mean([one == other for one, other in zip(some, others, strict=True)]))


def runner(path: Path) -> Callable[[], None]:
    """Return twenty predictions of a `.tflite` file, on one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    interpreter.set_tensor(taken["index"], np.zeros(taken["shape"], taken["dtype"]))

    def run() -> None:
        for _ in range(20):
            interpreter.invoke()

    return run


def step(scratch: Path, config: Any) -> dict[str, Any]:
    """Hold a step of the second phase against as many operations in matrix products."""
    import keras
    import tensorflow as tf

    from mlops_assets.families.vision.network import load

    network = load(scratch / "base")
    variables = [*network.head.trainable_variables, *network.top(config.fine_tune_layers)]
    pictures = tf.random.uniform((BATCH, config.size, config.size, 3), -1, 1)
    optimizer: Any = keras.optimizers.AdamW(1e-6)
    optimizer.build(variables)

    @tf.function
    def train() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.log_softmax(network.logits(pictures))[:, 0])
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    tuned = {id(each) for each in variables}
    operations = sum(
        _operations(layer, id(layer.kernel) in tuned) for layer in network.backbone.layers if _folds(layer)
    )
    left, right = tf.random.normal((ROWS, WIDTH)), tf.random.normal((WIDTH, WIDER))
    count = round(operations / (2 * ROWS * WIDTH * WIDER))
    product = tf.function(lambda: left @ right)
    figure = alternate(lambda: [product() for _ in range(count)], lambda: float(train()), rounds=7)
    return {
        f"matrix products of as many operations / training step of {BATCH} pictures": figure,
        "GFLOP/s of the products": operations / figure.a_seconds / 1e9,
    }


def _folds(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)


def _operations(layer: Any, tuned: bool) -> float:
    """Return a convolution's operations on a batch: 2 per weight and output pixel, and twice that again backward."""
    _, height, width, _ = layer.output.shape
    return BATCH * 2 * layer.kernel.shape.num_elements() * height * width * (3 if tuned else 1)


def main(quick: bool, as_json: bool) -> None:
    """Print every figure."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        figures = checking(scratch, quick)
        if BASE.is_dir():
            config = line_config(quick)
            figures |= exported(scratch, config)
            figures |= step(scratch, config)
    show(figures, as_json)


if __name__ == "__main__":
    main("--quick" in sys.argv, "--json" in sys.argv)
