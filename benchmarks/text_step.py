"""How near fine-tuning an encoder comes to plain matrix products, on this machine's CPU and on CUDA if there is one.

The ceiling is torch's own matrix product of a layer's shape, with as many floating-point operations as the linear
layers of a step need (2 per weight and token forward, 4 more backward). Attention, normalisation, GELU and the
optimizer are then pure loss. On CUDA both sides are bfloat16, the step by autocast as the family trains.
At MiniLM's width (6 layers of 384) on the CPU, at DistilBERT's (6 of 768) on CUDA; random weights.
"""

import sys
from collections.abc import Callable

import torch
from alternate import Ratio, alternate, show
from transformers import BertConfig, BertForSequenceClassification

from mlops_assets.families.text.losses import training_loss

TOKENS, LABELS = 32, 8


def step(device: str, width: int, batch: int) -> tuple[Callable[[], None], float]:
    """Return one training step as the family takes it, and the operations of its linear layers."""
    torch.manual_seed(0)
    sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": width // 64}
    network = BertForSequenceClassification(
        BertConfig(num_hidden_layers=6, num_labels=LABELS, attn_implementation="eager", **sizes)
    ).to(device)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-5, fused=True)
    tokens = torch.randint(1_000, 30_000, (batch, TOKENS), device=device)
    wanted = torch.eye(LABELS, device=device)[torch.arange(batch, device=device) % LABELS]
    weights = torch.ones(LABELS, device=device)

    def once() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            logits = network(input_ids=tokens).logits
        training_loss(logits.float(), wanted, weights, 0.0, False).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        _wait(device)

    linear = [each for each in network.bert.encoder.modules() if isinstance(each, torch.nn.Linear)]
    return once, 6.0 * batch * TOKENS * sum(each.weight.numel() for each in linear)


def products(device: str, width: int, batch: int, operations: float) -> Callable[[], None]:
    """Return matrix products of a layer's shape with as many operations."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    a = torch.randn((batch * TOKENS, width), device=device, dtype=dtype)
    b = torch.randn((width, 4 * width), device=device, dtype=dtype)
    count = round(operations / (2 * a.shape[0] * b.numel()))

    def all_of_them() -> None:
        for _ in range(count):
            a @ b
        _wait(device)

    return all_of_them


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main(quick: bool, as_json: bool) -> None:
    """Time the step against the products."""
    figures: dict[str, Ratio | float | str] = {}
    for device, width, batch in (("cpu", 384, 16), ("cuda", 768, 256)):
        name = (
            f"matrix products of as many operations / training step, {width} wide, {batch} x {TOKENS} tokens, {device}"
        )
        if device == "cuda" and not torch.cuda.is_available():
            figures[name] = "not measured: there is no CUDA GPU here"
            continue
        once, operations = step(device, width, batch)
        figures[name] = alternate(products(device, width, batch, operations), once, 5 if quick else 15)
        ratio = figures[name]
        assert isinstance(ratio, Ratio)
        figures[f"GFLOP/s of the products, {device}"] = operations / ratio.a_seconds / 1e9
    show(figures, as_json)


if __name__ == "__main__":
    main("--quick" in sys.argv, "--json" in sys.argv)
