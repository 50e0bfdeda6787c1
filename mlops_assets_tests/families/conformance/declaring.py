"""What a family says of itself, and what importing it costs."""

import subprocess
import sys

import pytest
from pydantic import ValidationError
from typing_extensions import get_protocol_members

from mlops_assets import families
from mlops_assets.core.family import Family
from mlops_assets_tests.families.conformance.prepared import Prepared

HEAVY = (
    *("mlx", "mlx_whisper", "tensorflow", "keras", "torch", "transformers", "onnxruntime", "numba", "mlflow"),
    *("langgraph", "langchain", "dagster", "huggingface_hub", "matplotlib", "pandas", "soundfile", "jiwer"),
)


def keeps_the_protocol(it: Prepared) -> None:
    """`FAMILY` has all that `core.family.Family` names, metrics with names of their own, and codes such as 'TXT001'."""
    absent = sorted(name for name in get_protocol_members(Family) if not hasattr(it.family, name))
    assert not absent, f"FAMILY lacks {', '.join(absent)}; core/family.py says what each promises"
    assert it.family.name == it.name
    metrics = it.family.metrics(it.config)
    names = [metric.name for metric in metrics]
    assert names
    assert len(set(names)) == len(names)
    assert {part for metric in metrics for part in metric.mean_of} <= {
        each.name for each in metrics if not each.mean_of
    }
    assert all(code[:3].isupper() and code[3:].isdigit() for code in it.family.findings)


def refuses_unknown_config(it: Prepared) -> None:
    """`Config` refuses keys that it does not know (extra='forbid'): a typo in a line's YAML is an error."""
    with pytest.raises(ValidationError, match="no_such_key"):
        it.family.Config.model_validate({**it.values, "no_such_key": 1})


def describes_its_config(it: Prepared) -> None:
    """Every field of `Config` has a description."""
    assert [name for name, field in it.family.Config.model_fields.items() if not field.description] == []


def import_is_light(it: Prepared) -> None:
    """Importing the family imports no framework: heavy packages are imported inside the methods that use them."""
    code = (
        f"import sys, {families.__name__}.{it.name} as family; family.FAMILY; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def diagnoses_itself(it: Prepared) -> None:
    """`diagnose` gives checks with a name and an explanation that says what to do."""
    assert all(check.name and check.explanation for check in it.family.diagnose(it.config))


CHECKS = (
    keeps_the_protocol,
    refuses_unknown_config,
    describes_its_config,
    import_is_light,
    diagnoses_itself,
)
