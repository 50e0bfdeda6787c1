"""The weights a line starts from: fetched by Keras, read from a file by the layers' names, or random.

An .h5 file may come from any Keras: the backbone's arrays are found by layer and kind wherever they lie in it, and
whatever else the file holds (heads, optimizer state, code) is not looked at. Nothing in it is executed.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mlops_assets.core.errors import ConfigError
from mlops_assets.families.vision.config import Config

HELP = (
    "In base_weights, name an .h5 (as model.save writes it) or .safetensors file with a MobileNetV2 of the configured "
    "width, or 'imagenet', or 'random'."
)
SETTLING = 128
_OTHER_KINDS = {"depthwise_kernel": "kernel"}


def find_file(source: str) -> Path | None:
    """Return the file that `base_weights` names, None where it is no file; ConfigError if there is none."""
    if source in ("imagenet", "random"):
        return None
    path = Path(source).expanduser()
    if path.is_dir():
        path = next((path / name for name in ("weights.safetensors", "weights.h5") if (path / name).is_file()), path)
    if not path.is_file():
        raise ConfigError(f"There are no base weights at {source}.", HELP)
    return path


def write_base(config: Config, out: Path) -> None:
    """Write the model folder of a line without a production version: a known backbone and a head that knows nothing.

    Its calibration pictures are smooth noise, for it has seen no pictures.
    """
    from mlops_assets.families.vision.network import Settings, build, save, settle

    found = find_file(config.base_weights)
    network = build(Settings(labels=config.labels, size=config.size, width=config.width))
    if config.base_weights == "imagenet":
        _fetch(config, network.backbone)
    elif found is not None:
        copy_weights(found, {key: each for key, each in network.variables().items() if not key.startswith("head/")})
    else:
        settle(network, _noise(config, SETTLING))
    save(out, network, _noise(config, config.calibration_items), network.settings)


def copy_weights(path: Path, variables: Mapping[str, object]) -> None:
    """Set a backbone's variables from a file; ConfigError names what is missing or has another shape."""
    shapes = {key: tuple(each.shape) for key, each in variables.items()}  # pyright: ignore[reportAttributeAccessIssue]
    arrays = _read_safetensors(path) if path.suffix == ".safetensors" else _read_h5(path, shapes)
    wrong = [key for key, shape in shapes.items() if key not in arrays or arrays[key].shape != shape]
    if wrong:
        some = ", ".join(wrong[:3])
        raise ConfigError(f"{path} does not fit this MobileNetV2: {len(wrong)} weights differ ({some}, ...).", HELP)
    for key, each in variables.items():
        each.assign(arrays[key])  # pyright: ignore[reportAttributeAccessIssue]


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ConfigError(f"{path} is no safetensors file ({error}).", HELP) from error


def _read_h5(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return the file's arrays whose last two names are a wanted variable's; optimizer state is passed by."""
    import h5py

    arrays: dict[str, np.ndarray] = {}

    def visit(name: str, found: object) -> None:
        parts = name.partition(":")[0].split("/")
        if not isinstance(found, h5py.Dataset) or len(parts) < 2 or parts[0] == "optimizer_weights":
            return
        key = f"{parts[-2]}/{_OTHER_KINDS.get(parts[-1], parts[-1])}"
        if key in shapes and found.shape == shapes[key]:
            arrays[key] = np.asarray(found, np.float32)

    try:
        with h5py.File(path) as file:
            file.visititems(visit)
    except OSError as error:
        raise ConfigError(f"{path} is no HDF5 file ({error}).", HELP) from error
    return arrays


def _fetch(config: Config, backbone: object) -> None:
    """Copy ImageNet's weights, which Keras fetches once and keeps in its own cache."""
    import keras

    from mlops_assets.families.vision.network import name

    nearest = min((96, 128, 160, 192, 224), key=lambda size: abs(size - config.size))
    try:
        known = keras.applications.MobileNetV2((nearest, nearest, 3), alpha=config.width, include_top=False)
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise ConfigError(f"ImageNet's weights could not be fetched: {error}.", HELP) from error
    arrays = {name(each): np.asarray(each) for each in known.weights}
    for each in backbone.weights:  # pyright: ignore[reportAttributeAccessIssue]
        each.assign(arrays[name(each)])


def _noise(config: Config, count: int) -> np.ndarray:
    """Return smooth random pictures, uint8 (n, size, size, 3)."""
    coarse = np.random.default_rng(config.base_seed).integers(0, 256, (count, 4, 4, 3))
    return np.repeat(np.repeat(coarse, config.size // 4, 1), config.size // 4, 2).astype(np.uint8)
