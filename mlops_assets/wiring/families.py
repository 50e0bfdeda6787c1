"""Families by their name: found on disk, imported only when a line needs one."""

import functools
import importlib
import importlib.metadata
import importlib.util
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ValidationError

from mlops_assets import families
from mlops_assets.core.digests import sha256_file, tree_digest
from mlops_assets.core.errors import ConfigError, MissingExtra
from mlops_assets.core.family import Family
from mlops_assets.wiring.refusals import wrong
from mlops_assets.wiring.settings import PACKAGE


def load_family(name: str) -> Family:
    """Return the family of that name; ConfigError lists those on disk, MissingExtra names an absent package."""
    module = f"{families.__name__}.{name}"
    if importlib.util.find_spec(module) is None:
        known = ", ".join(sorted(each.name for each in pkgutil.iter_modules(families.__path__)))
        raise ConfigError(f"There is no family '{name}'.", f"The families are: {known}.")
    with vendor_packages(name):
        return importlib.import_module(module).FAMILY


@contextmanager
def vendor_packages(name: str) -> Iterator[None]:
    """Turn the absence of a family's vendor package into a sentence that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package == families.__name__.partition(".")[0]:
            raise
        extras = importlib.metadata.metadata("mlops_assets").get_all("Provides-Extra") or []
        wanted = f"mlops_assets[{name}]" if name in extras else package
        raise MissingExtra(
            f"The {name} family needs the package '{package}', which is not installed.", f"pip install '{wanted}'"
        ) from error


def family_config(known: Family, values: dict[str, Any], *, where: str) -> BaseModel:
    """Check a line's `config` by its family; ConfigError names place and key."""
    try:
        return known.Config.model_validate(values)
    except ValidationError as error:
        raise wrong(where, error, prefix="config.") from None


@functools.cache
def code_version(family: str) -> str:
    """Return the package's version and the digest of the sources that decide what a task of a family makes of inputs.

    Not the commit: recipes and caches hold this version, and a training that was interrupted must be resumed though
    something else was committed meanwhile; and sources that were changed and not committed are other sources. Not all
    sources: a change in one family leaves the lines of the others alone.
    """
    own = [*PACKAGE.glob(f"families/{family}.py"), *PACKAGE.glob(f"families/{family}/**/*.py")]
    tree = {
        str(path.relative_to(PACKAGE)): sha256_file(path)
        for path in [*PACKAGE.glob("core/**/*.py"), *own, PACKAGE / "worker.py"]
    }
    return f"{importlib.metadata.version('mlops_assets')}+{tree_digest(tree)[:12]}"
