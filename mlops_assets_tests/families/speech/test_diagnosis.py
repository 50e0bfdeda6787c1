import subprocess
import sys

from mlops_assets.families.speech import FAMILY


def test_packages_blas_and_weights_are_named_with_what_to_do() -> None:
    checks = FAMILY.diagnose(FAMILY.Config(base_model="no/such/folder"))
    assert [check.name for check in checks] == ["speech packages", "speech BLAS", "speech base weights"]
    assert all(check.explanation for check in checks)
    assert not checks[2].passed
    assert "no/such/folder" in checks[2].explanation
    assert FAMILY.diagnose(FAMILY.Config(base_model="owner/name"))[2].passed


def test_importing_the_family_imports_nothing_heavy() -> None:
    heavy = "{'mlx', 'mlx_whisper', 'soundfile', 'numba', 'torch', 'huggingface_hub', 'scipy'}"
    code = f"import sys, mlops_assets.families.speech; print(sorted(set(sys.modules) & {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
