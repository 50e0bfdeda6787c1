"""Settings of the smallest model: what a training of seconds needs."""

from typing import Any

SETTINGS: dict[str, Any] = {
    "labels": ["green", "red", "blue"],
    "size": 32,
    "width": 0.35,
    "base_weights": "random",
    "head_epochs": 5,
    "head_views": 1,
    "head_learning_rate": 3e-4,
    "fine_tune_layers": 12,
    "fine_tune_epochs": 3,
    "fine_tune_learning_rate": 3e-4,
    "batch_size": 16,
    "calibration_items": 8,
    "patience": 5,
    "rotation": 5,
    "zoom": 0.05,
    "shift": 0.02,
}
