"""The gateway's routes: a module each, whose `router` is found by the module's name; there is no table to edit."""

import importlib
import pkgutil
from collections.abc import Iterator

from fastapi import APIRouter


def routers() -> Iterator[APIRouter]:
    """Yield the router of every module here, in the order of their names."""
    for module in sorted(each.name for each in pkgutil.iter_modules(__path__)):
        yield importlib.import_module(f"{__name__}.{module}").router
