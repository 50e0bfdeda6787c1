"""The family that docs/new-family.md writes is complete: its code is taken from there, checked, and run as a line."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/new-family.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(mlops_assets\S+)`:\n\n```\w+\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL))
BEGINNING = PAGE.split("## Begin with nothing")[1].split("```python\n")[1].split("```")[0]
RUN = """
import sys
from pathlib import Path
from mlops_assets.wiring.lines import lines_in
from mlops_assets_tests.families.examples.linear import EXAMPLE
from mlops_assets_tests.lifecycle.chain import run
from mlops_assets_tests.platform_fixture import InProcess, make_platform
from mlops_assets.lifecycle.intake.ingest import ingest

root = Path(sys.argv[1])
(line,) = lines_in(root / "mlops_assets/defs/sweetness/defs.yaml")
EXAMPLE.batch(root / "data/golden/sweetness", 2)
platform = make_platform(root, compute=InProcess(), lines=lambda: [line])
record, _ = ingest(platform, line, EXAMPLE.batch(root / "batch", 1), contributor="ann", source="cli")
decision = run(platform, line, record.batch_id)
print(decision.verdict, platform.versions.pointer("sweetness").roles["production"], *decision.reasons)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project into which the page's files were written; `started` is the family that was only begun."""
    folder = tmp_path_factory.mktemp("project")
    for package in ("mlops_assets", "mlops_assets_tests"):
        shutil.copytree(ROOT / package, folder / package)
    started = {
        "mlops_assets/families/started.py": BEGINNING.replace("linear", "started"),
        "mlops_assets_tests/families/examples/started.py": (
            "from mlops_assets_tests.families.examples.linear import EXAMPLE\n\n__all__ = ['EXAMPLE']\n"
        ),
    }
    for name, content in (FILES | started).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def python(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the copy, whose packages come before those that are installed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=project,
        env=environment | {"PYTHONPATH": str(project)},
    )


@pytest.fixture(scope="module")
def suite(project: Path) -> str:
    """What the conformance suite says of the finished family and of the one that was only begun."""
    chosen = ("-k", "linear or started:keeps_the_protocol", "mlops_assets_tests/families/test_conformance.py")
    options = ("-rA", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(project))
    return python(project, "-m", "pytest", *options, *chosen).stdout


def test_the_finished_family_passes_every_check(suite: str):
    from mlops_assets_tests.families.conformance import CHECKS

    passed = set(re.findall(r"^PASSED .*\[linear:(\w+)\]", suite, flags=re.MULTILINE))
    assert passed == {check.__name__ for check in CHECKS}, suite


def test_the_finished_family_is_written_as_this_project_writes(project: Path):
    paths = [str(project / name) for name in FILES if name.endswith(".py")]
    done = python(project, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), *paths)
    assert done.returncode == 0, done.stdout


def test_the_family_that_was_only_begun_is_told_what_it_lacks_in_the_words_of_the_page(suite: str):
    said = PAGE.split("<!-- failure:begin -->")[1].split("<!-- failure:end -->")[0]
    title, *lines = (line for line in said.splitlines() if line and line != "```")
    assert f"[{title.replace('linear', 'started')}]" in suite
    for line in lines:
        assert line.partition("AssertionError: ")[2] or line in suite
        assert line.split("; ")[0] in suite


def test_a_line_of_it_goes_through_the_whole_chain(project: Path):
    done = python(project, "-c", RUN, str(project))
    assert done.stdout.startswith("APPROVE 2 rmse on golden is "), done.stdout + done.stderr
