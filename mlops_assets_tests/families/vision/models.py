"""Settings of the smallest model: what a training of seconds needs."""

from typing import Any

SETTINGS: dict[str, Any] = {
    "labels": ["green", "red", "blue"],
    "size": 32,
    "width": 0.35,
    "base_weights": "random",
    "head_epochs": 4,
    "head_views": 1,
    "head_learning_rate": 0.02,
    "fine_tune_layers": 12,
    "fine_tune_epochs": 3,
    "batch_size": 16,
    "calibration_items": 8,
    "patience": 5,
}
