"""The checks every family has to pass, whoever wrote it: found on disk, run with its example.

`cases()` gives one pytest case for each family and check, such as `baseline:resumes_to_same_digest`. A family without
an example fails; a check is left out only where the example says why.
"""

import importlib.util
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest

from mlops_assets import families
from mlops_assets_tests.families.conformance import checking, declaring, serving, training
from mlops_assets_tests.families.conformance.prepared import Prepared
from mlops_assets_tests.families.examples import Example

CHECKS: tuple[Callable[[Prepared], None], ...] = (
    *declaring.CHECKS,
    *checking.CHECKS,
    *training.CHECKS,
    *serving.CHECKS,
)


def hold_to(check: Callable[[Prepared], None], it: Prepared) -> None:
    """Run a check; a failure begins with what the check asks for."""
    try:
        check(it)
    except (Exception, pytest.fail.Exception) as error:
        raise AssertionError(f"{check.__doc__}\n{type(error).__name__}: {error}") from error


def names() -> list[str]:
    """Return the families on disk."""
    return sorted(module.name for module in pkgutil.iter_modules(families.__path__))


def cases() -> list[Any]:
    """Return a pytest case for each family and check."""
    return [pytest.param(name, check, id=f"{name}:{check.__name__}") for name in names() for check in CHECKS]


def missing(example: Example) -> list[str]:
    """Return the vendor packages of a family that are not installed here."""
    return [package for package in example.requires if importlib.util.find_spec(package) is None]
