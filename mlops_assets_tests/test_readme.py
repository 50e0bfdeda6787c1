"""Prose is tested: what the README names exists, and what exists is named."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from typer.main import get_command

from mlops_assets.cli.main import app
from mlops_assets.core.line import Line
from mlops_assets.core.records.chain import ASSETS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMAND_LINES = re.findall(r"^mlops ([a-z]+)", README, flags=re.MULTILINE)
LINKS = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]


def _block(name: str) -> str:
    return README.split(f"<!-- {name}:begin -->")[1].split(f"<!-- {name}:end -->")[0]


def _tree() -> list[str]:
    """Return the paths the README's tree draws."""
    paths, around = [], []
    for line in _block("tree").strip().strip("`").strip().splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        around = [*around[:depth], line.split()[0]]
        paths.append("".join(around))
    return paths


def test_every_command_of_the_readme_exists_and_every_command_is_in_it():
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert set(COMMAND_LINES) == set(commands)


@pytest.mark.parametrize("name", sorted(set(COMMAND_LINES)))
def test_the_readme_names_every_subcommand(name: str):
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    named = re.search(rf"^mlops {name} ([a-z|]+)", README, flags=re.MULTILINE)
    if hasattr(command, "commands"):
        assert named
        assert set(named[1].split("|")) == set(command.commands)


@pytest.mark.parametrize("path", _tree())
def test_the_tree_is_true(path: str):
    assert (ROOT / path).exists()


def test_the_tree_leaves_no_part_of_the_package_out():
    drawn = {path.rstrip("/") for path in _tree()}
    package = ROOT / "mlops_assets"
    parts = {
        path.relative_to(ROOT).as_posix()
        for path in [*package.iterdir(), *(package / "lifecycle").iterdir()]
        if (path / "__init__.py").exists() or (path.parent == package and path.suffix == ".py")
    }
    assert parts - {"mlops_assets/__init__.py"} <= drawn


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_somewhere(link: str):
    assert (ROOT / link).exists()


def _first_cells(title: str) -> list[str]:
    section = README.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)


def test_the_chain_is_the_chain():
    assert _first_cells("The chain") == list(ASSETS)


def test_the_lines_are_those_that_are_declared():
    from mlops_assets.wiring.lines import read_lines

    assert set(_first_cells("Seven lines, one chain")) == {line.line for line in read_lines()}


@pytest.mark.parametrize("target", re.findall(r"^make ([a-z-]+)", README, flags=re.MULTILINE))
def test_make_targets_exist(target: str):
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_example_line_is_a_line():
    example = re.search(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    assert example
    document = yaml.safe_load(example[1])
    assert document["type"] == "mlops_assets.components.ModelLine"
    assert Line.model_validate(document["attributes"]).line == "dictation"


def test_every_setting_is_in_the_example_environment():
    from mlops_assets.wiring.settings import Settings

    example = (ROOT / ".env.example").read_text()
    for name, field in Settings.model_fields.items():
        assert f"MLOPS_{name.upper()}=" in example, f"{name} is missing in .env.example"
        assert field.description


def test_the_command_says_what_it_can_do():
    done = subprocess.run([sys.executable, "-m", "mlops_assets.cli", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Exit codes" in done.stdout


def test_the_figures_are_those_that_were_measured():
    figures = _load(ROOT / "benchmarks" / "figures.py")
    results = json.loads(figures.RESULTS.read_text())
    assert set(results["figures"]) == {path.name for path in figures.benchmarks()}
    assert figures.filled(README, results) == README
    assert all(text in README for text in figures.headlines(results).values())
    assert figures.page(results) == figures.PAGE.read_text()


def test_the_page_on_decisions_says_what_the_code_says():
    blocks = _load(ROOT / "docs" / "blocks.py")
    page = blocks.PAGE.read_text()
    assert page == blocks.filled(page)
    assert all(text in page for text in blocks.blocks().values())


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_commands_in_the_docs_exist(page: Path):
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name, after in re.findall(r"^mlops ([a-z]+)(?: ([a-z]+))?", page.read_text(), flags=re.MULTILINE):
        assert name in commands
        assert not hasattr(commands[name], "commands") or after in commands[name].commands


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
