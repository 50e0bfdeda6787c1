"""How near fine-tuning and decoding come to plain matrix products, and what a short window and a fast BLAS are worth.

The ceiling is what MLX's own matrix product does here: as many floating-point operations as the linear layers of a
step need (2 per weight and row forward, 4 more backward), in products of an encoder layer's shape, timed in turn with
the step. Attention, GELU, normalisation and the optimizer are then pure loss; no target is set for them.
Whisper tiny.en and clips of the golden set; windows are compared on two clips.

Learned: MLX's gradient of a convolution for its input was a third of a step, thirteen times the same convolution
written as one product (`network.convolve`).
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alternate import alternate, show

from mlops_assets.core.dataset import read_items
from mlops_assets.core.records.data import Item
from mlops_assets.families.speech import FAMILY
from mlops_assets.families.speech.blas import blas, pin_threads
from mlops_assets.families.speech.config import Config

GOLDEN = Path(__file__).parents[1] / "data/golden/speech"
ROWS, WIDTH, WIDER, SEED = 2_048, 384, 1_536, 0
LONG = 30.0


def product(rows: int) -> Callable[[], None]:
    """Return a matrix product of the shape of an encoder's layer."""
    import mlx.core as mx

    mx.set_default_device(mx.Device(mx.cpu))
    a, b = mx.random.normal((rows, WIDTH)), mx.random.normal((WIDTH, WIDER))
    mx.eval(a, b)
    return lambda: mx.eval(a @ b)


def product_seconds(plain: bool) -> float:
    """Return the seconds of one product in another process, `plain` with the BLAS that MLX's wheel carries."""
    command = [sys.executable, __file__, "--plain-product" if plain else "--fast-product"]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def best_of_three(work: Callable[[], None]) -> float:
    """Return the shortest wall seconds of three calls."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def step(base: Path, data: Path, clips: int, config: Config) -> tuple[Callable[[], None], float]:
    """Return a training step on the first `clips` items, and the operations of its linear layers."""
    import mlx.core as mx
    import mlx.nn as nn
    from mlx import optimizers
    from mlx.utils import tree_flatten

    from mlops_assets.families.speech.batches import collate, read_examples
    from mlops_assets.families.speech.network import load_network, tokenizer_for
    from mlops_assets.families.speech.training import freeze, total_loss

    network = load_network(base)
    tokenizer = tokenizer_for(network, config.language)
    examples = read_examples(data, network, tokenizer, config)[:clips]
    batch = collate(examples, network, len(tokenizer.sot_sequence_including_notimestamps), tokenizer.eot)
    freeze(network, config, SEED)
    optimizer = optimizers.AdamW(1e-6)
    gradient = nn.value_and_grad(network, total_loss)
    mx.eval(batch.mel)

    def once() -> None:
        _, gradients = gradient(network, batch)
        optimizer.update(network, gradients)
        mx.eval(network.parameters(), optimizer.state)

    heard, said = batch.mel.shape[0] * batch.mel.shape[1] // 2, batch.inputs.size
    operations = 0.0
    for name, array in tree_flatten(network.parameters()):
        if name.endswith("weight") and array.ndim > 1:  # pyright: ignore[reportAttributeAccessIssue]
            of_audio = name.startswith("encoder") or "cross_attn.key" in name or "cross_attn.value" in name
            operations += 6 * array.size * (heard if of_audio else said)  # pyright: ignore[reportAttributeAccessIssue]
    return once, operations


def decoding(base: Path, data: Path, items: list[Item], config: Config, out: Path) -> Callable[[], Any]:
    """Return the transcription of items by an exported base."""
    FAMILY.export(base, out, config)
    predictor = FAMILY.load(out)
    return lambda: predictor.predict([data / str(item.path) for item in items])


def main(quick: bool, as_json: bool) -> None:
    """Time training, decoding, windows and the BLAS."""
    rounds, clips = (5, 2) if quick else (7, 8)
    figures = {}
    short = Config()
    long = short.model_copy(update={"window_min": LONG})
    with tempfile.TemporaryDirectory() as scratch:
        data, base = Path(scratch, "data"), Path(scratch, "base")
        FAMILY.check(GOLDEN, data, short, lambda _: None)
        FAMILY.base(short, base)
        items = read_items(data)

        train, operations = step(base, data, clips, short)
        multiply = product(ROWS)
        count = round(operations / (2 * ROWS * WIDTH * WIDER))
        ceiling = alternate(lambda: [multiply() for _ in range(count)], train, rounds)
        figures[f"matrix products of as many operations / training step of {clips} clips"] = ceiling
        figures["GFLOP/s of the products"] = operations / ceiling.a_seconds / 1e9

        steps = [step(base, data, 2, config)[0] for config in (long, short)]
        figures["training step, 30 s windows / short windows"] = alternate(*steps, rounds=5)
        heard = [
            decoding(base, data, items[:2], config, Path(scratch, f"{config.window_min}")) for config in (long, short)
        ]
        figures["decoding, 30 s windows / short windows"] = alternate(*heard, rounds=5)

        batch = items[: short.decode_batch]
        decode = alternate(multiply, decoding(base, data, batch, short, Path(scratch, "batch")), 5)
        figures[f"seconds per second of audio, decoding {len(batch)} clips"] = decode.b_seconds / FAMILY.units(batch)
    figures["product with MLX's own BLAS / with OpenBLAS"] = product_seconds(plain=True) / product_seconds(plain=False)
    show(figures, as_json)


if __name__ == "__main__":
    pin_threads(0)
    if "--plain-product" not in sys.argv:
        blas()
    if any(name.endswith("-product") for name in sys.argv):
        print(best_of_three(product(ROWS)))
    else:
        main("--quick" in sys.argv, "--json" in sys.argv)
