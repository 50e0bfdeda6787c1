"""Low-rank adaptation (Hu et al. 2021): train `x A B` beside frozen projections, then add it into them.

Applied to every attention and MLP projection of encoder and decoder. A is uniform in +-1/sqrt(width), B is zero, so
training starts at the parent; merged weights have the parent's names and shapes.
"""

import math

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_unflatten
from mlx_whisper.whisper import Whisper


class LoRALinear(nn.Module):
    """A frozen linear layer and its low-rank update: `linear(x) + scale * (x A) B`."""

    def __init__(self, linear: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        outputs, inputs = linear.weight.shape
        bound = 1 / math.sqrt(inputs)
        self.linear = linear
        self.scale = scale
        self.lora_a = mx.random.uniform(-bound, bound, (inputs, rank))
        self.lora_b = mx.zeros((rank, outputs))

    def __call__(self, x: mx.array) -> mx.array:
        """Map (..., inputs) to (..., outputs)."""
        return self.linear(x) + self.scale * ((x @ self.lora_a) @ self.lora_b)

    def merged(self) -> nn.Linear:
        """Return the linear layer with the update added to its weight of shape (outputs, inputs)."""
        self.linear.weight = self.linear.weight + self.scale * (self.lora_a @ self.lora_b).T
        return self.linear


def add_lora(network: Whisper, rank: int, scale: float, seed: int) -> None:
    """Freeze the network and put a trainable LoRALinear in the place of every linear layer."""
    mx.random.seed(seed)
    network.freeze()
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    replaced = [(name, LoRALinear(module, rank, scale)) for name, module in sorted(layers)]
    network.update_modules(tree_unflatten(replaced))


def merge_lora(network: Whisper) -> None:
    """Put ordinary linear layers back, with what was learned in their weights."""
    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, LoRALinear)]
    if layers:
        network.update_modules(tree_unflatten([(name, module.merged()) for name, module in layers]))
