"""The field's simple method: which class does the mean colour of the picture's middle look like?

Softmax regression with a small ridge, classes weighted alike. Where it scores as well as the network, the task is a
colour test, and the report says so.
"""

from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from mlops_assets.families.vision.config import Config
from mlops_assets.families.vision.dataset import read_known
from mlops_assets.families.vision.pictures import read_picture
from mlops_assets.families.vision.servable import MeanColour, Preprocessing, mean_colour

RIDGE = 1e-4


def fit(data: Path, config: Config) -> MeanColour:
    """Fit the rule to the pictures of dataset `data`; raises ValueError for an empty one."""
    items = read_known(data, config)
    colours = np.stack([mean_colour(read_picture(data / str(item.path), config.size).pixels) for item in items])
    classes = np.array([config.labels.index(str(item.target)) for item in items])
    count, centre = len(config.labels), colours.mean(axis=0)
    sizes = np.bincount(classes, minlength=count)
    shares = 1 / (np.count_nonzero(sizes) * sizes[classes])
    inputs, targets = np.c_[colours - centre, np.ones(len(colours))], np.eye(count)[classes]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(4, count)
        logits = inputs @ weights
        value = -(shares[:, None] * targets * log_softmax(logits, axis=1)).sum() + RIDGE * (weights**2).sum()
        slope = inputs.T @ (shares[:, None] * (softmax(logits, axis=1) - targets)) + 2 * RIDGE * weights
        return float(value), slope.ravel()

    found = minimize(loss, np.zeros(4 * count), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    weights = found.reshape(4, count)
    bias = weights[3] - centre @ weights[:3]
    return MeanColour(
        labels=config.labels,
        preprocessing=Preprocessing(size=config.size, values=(0, 1)),
        weights=tuple(tuple(round(float(x), 8) for x in column) for column in weights[:3].T),
        bias=tuple(round(float(x), 8) for x in bias),
    )
