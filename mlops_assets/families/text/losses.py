"""The losses a line can choose: cross entropy, weighted, focal (Lin et al. 2017), and the same per dimension."""

import numpy as np
import torch
import torch.nn.functional as nn

from mlops_assets.families.text.config import Config
from mlops_assets.families.text.examples import Examples

_MOST_WEIGHT = 20.0


def plain_loss(logits: torch.Tensor, wanted: torch.Tensor, several: bool) -> torch.Tensor:
    """Return the mean cross entropy; `wanted` holds probabilities (items, labels), `several` labels may be right."""
    if several:
        return nn.binary_cross_entropy_with_logits(logits, wanted)
    return -(wanted * logits.log_softmax(-1)).sum(-1).mean()


def training_loss(
    logits: torch.Tensor, wanted: torch.Tensor, weights: torch.Tensor, gamma: float, several: bool
) -> torch.Tensor:
    """Return the mean loss of a batch: a label counts with its weight, and less the surer it is (`gamma` > 0)."""
    if several:
        likely, unlikely = nn.logsigmoid(logits), nn.logsigmoid(-logits)
        right = wanted * weights * (1 - likely.exp()) ** gamma * likely
        wrong = (1 - wanted) * (1 - unlikely.exp()) ** gamma * unlikely
        return -(right + wrong).mean()
    log_shares = logits.log_softmax(-1)
    each = (wanted * weights * (1 - log_shares.exp()) ** gamma * log_shares).sum(-1)
    return -each.sum() / (wanted * weights).sum()


def label_weights(examples: Examples, config: Config) -> torch.Tensor:
    """Return a weight per label: n / (labels * n_label), scikit-learn's 'balanced'; per dimension absent / present."""
    labels = len(config.labels)
    if config.class_weights == "none":
        return torch.ones(labels)
    present = examples.targets.sum(0)
    if config.task == "multi_label":
        weights = (len(examples.targets) - present) / np.maximum(present, 1e-9)
    else:
        weights = len(examples.targets) / (labels * np.maximum(present, 1e-9))
    return torch.from_numpy(np.clip(weights, 1 / _MOST_WEIGHT, _MOST_WEIGHT).astype(np.float32))
