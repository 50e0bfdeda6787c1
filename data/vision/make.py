"""Make the committed synthetic mango sets: a golden set, a sealed one and three sample batches, by `render.py`.

Everything is drawn from `recipe.toml` and its seed, so the same tools give the same bytes; `digests.json` keeps
the digests and the versions of the tools that made them. Users need none of this: the result is committed.

    python -m data.vision.make            write data/golden/mango[-sealed] and data/samples/mango
    python -m data.vision.make --check    make them again elsewhere and compare; exit 3 if the tools differ
"""

import io
import platform
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import scipy
from PIL import Image, ImageFilter, features
from rich.progress import track

from data.making import csv_text, json_lines, run, write_folder, write_zip
from data.vision.render import render, session
from mlops_assets.core.digests import sha256_file, sha256_folder

HERE = Path(__file__).parent
FOLDERS = {"golden": "golden/mango", "sealed": "golden/mango-sealed"}
BATCHES = ("good", "blurred", "wrong-labels")
FORMATS = ("webp", "jpg", "webp", "webp", "jpg", "webp", "webp", "webp")
PNG_EVERY = 60
QUALITY = {"webp": 78, "jpg": 82}
BLUR, DARKER = 2.2, 0.36
COLUMNS = ("path", "label", "source", "light", "origin")


@dataclass(frozen=True)
class Photograph:
    """One rendered picture: uint8 `pixels` (side, side, 3), its label, session and light."""

    name: str
    label: str
    source: str
    light: str
    pixels: np.ndarray
    format: str

    @property
    def path(self) -> str:
        """Where the file lies in its set."""
        return f"pictures/{self.name}.{self.format}"


def tools() -> dict[str, str]:
    """Return the versions that decide the bytes."""
    codecs = {name: str(features.version(name)) for name in ("webp", "jpg", "zlib")}
    return {
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "pillow": PIL.__version__,
        **codecs,
        "machine": platform.machine(),
    }


def photographs(recipe: dict[str, Any], name: str) -> list[Photograph]:
    """Render a whole set: sessions of a few pictures, classes equally often, labels drawn before the pictures."""
    chosen, key = recipe["sets"][name], [recipe["seed"], *name.encode()]
    labels = [list(recipe["stages"])[i % len(recipe["stages"])] for i in range(chosen["count"])]
    np.random.default_rng([*key, 1]).shuffle(labels)
    taken = []
    for i, label in enumerate(track(labels, name)):
        at = i // chosen["per_session"]
        shoot = session(np.random.default_rng([*key, 2, at]), chosen["grounds"], chosen["lights"], chosen["camera"])
        draw = np.random.default_rng([*key, 3, i])
        stage, ripeness = recipe["stages"][label], None
        if stage:
            ripeness = float(np.clip(draw.uniform(*stage) + draw.normal(0, recipe["overlap"]), 0, 1))
        form = "png" if i % PNG_EVERY == PNG_EVERY - 1 else FORMATS[i % len(FORMATS)]
        source = f"{chosen['prefix']}-session-{at:02}"
        pixels = render(draw, shoot, ripeness)
        taken.append(Photograph(f"{chosen['prefix']}{i:03}", label, source, shoot.light, pixels, form))
    return taken


def spoiled(photograph: Photograph) -> Photograph:
    """Return the picture out of focus and underexposed, as taken in a dark shed with an unsteady hand."""
    image = Image.fromarray((photograph.pixels * DARKER).astype(np.uint8)).filter(ImageFilter.GaussianBlur(BLUR))
    return replace(photograph, pixels=np.asarray(image))


def mislabelled(photograph: Photograph, labels: list[str]) -> Photograph:
    """Return the picture with the label that follows its own."""
    return replace(photograph, label=labels[(labels.index(photograph.label) + 1) % len(labels)])


def encode(photograph: Photograph) -> bytes:
    """Encode a picture as a file's bytes, the same bytes every time."""
    file = io.BytesIO()
    image, quality = Image.fromarray(photograph.pixels), QUALITY.get(photograph.format)
    if photograph.format == "png":
        image.save(file, "PNG", optimize=True)
    elif photograph.format == "webp":
        image.save(file, "WEBP", quality=quality, method=4)
    else:
        image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def files_of(taken: list[Photograph], manifest: str) -> dict[str, bytes]:
    """Return a set's files by path: pictures and their manifest (`csv` or `jsonl`)."""
    rows = [
        dict(zip(COLUMNS, (each.path, each.label, each.source, each.light, "synthetic"), strict=True)) for each in taken
    ]
    return {each.path: encode(each) for each in taken} | {f"manifest.{manifest}": table(rows, manifest)}


def table(rows: list[dict[str, str]], form: str) -> bytes:
    """Write manifest rows as CSV or JSON lines."""
    return (json_lines(rows) if form == "jsonl" else csv_text(rows)).encode()


def make(out: Path) -> dict[str, str]:
    """Make every set under `out`; return the digest of each."""
    recipe = tomllib.loads((HERE / "recipe.toml").read_text())
    digests = {}
    for name, folder in FOLDERS.items():
        write_folder(out / folder, files_of(photographs(recipe, name), recipe["sets"][name]["manifest"]))
        digests[folder] = sha256_folder(out / folder)
    for name in BATCHES:
        taken = photographs(recipe, name)
        if name == "blurred":
            taken = [spoiled(each) for each in taken]
        elif name == "wrong-labels":
            taken = [mislabelled(each, list(recipe["stages"])) for each in taken]
        target = out / f"samples/mango/{name}.zip"
        write_zip(target, files_of(taken, recipe["sets"][name]["manifest"]))
        digests[target.relative_to(out).as_posix()] = sha256_file(target)
    return digests


if __name__ == "__main__":
    run("vision", make, tools)
