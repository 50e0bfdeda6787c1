"""Lines as YAML declares them, read and checked wherever they are needed, with or without Dagster."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined, TemplateError
from pydantic import BaseModel, ValidationError

from mlops_assets.core.errors import ConfigError
from mlops_assets.core.family import Family
from mlops_assets.core.line import Line
from mlops_assets.core.policy import Policy
from mlops_assets.wiring.families import family_config, load_family
from mlops_assets.wiring.refusals import wrong
from mlops_assets.wiring.settings import PACKAGE, PREFIX, Settings, read_settings

LEAST_ERROR = 1e-5  # of one bound: it takes 2.5 million resamples
MODEL_LINE = "mlops_assets.components.ModelLine"


def line_files(chosen: Settings) -> list[Path]:
    """Return the YAML files that declare lines: defs/<line>/defs.yaml, then those in MLOPS_LINES."""
    own = sorted((PACKAGE / "defs").glob("*/defs.yaml"))
    return own + more_line_files(chosen)


def more_line_files(chosen: Settings) -> list[Path]:
    """Return the YAML files in MLOPS_LINES: <name>.yaml, or <name>/defs.yaml."""
    if chosen.lines is None:
        return []
    if not chosen.lines.is_dir():
        raise ConfigError(f"{PREFIX}LINES names {chosen.lines}, which is no folder.", "Make it, or unset the variable.")
    return sorted([*chosen.lines.glob("*.yaml"), *chosen.lines.glob("*/defs.yaml")])


def read_lines(chosen: Settings | None = None) -> list[Line]:
    """Read every declared line; ConfigError names file and key of what is wrong, or both files of a double name."""
    found: dict[str, tuple[Line, Path]] = {}
    for path in line_files(chosen or read_settings()):
        for line in lines_in(path):
            if line.line in found:
                other = found[line.line][1]
                raise ConfigError(f"{path} and {other} both declare the line '{line.line}'.", "Rename one of them.")
            found[line.line] = (line, path)
    return [line for line, _ in found.values()]


def lines_in(path: Path) -> Iterator[Line]:
    """Yield the lines of one YAML file (one a document; other component types are left alone)."""
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}.", "Correct it.") from None
    for document in documents:
        if isinstance(document, dict) and document.get("type") == MODEL_LINE:
            try:
                declared = Line.model_validate(document.get("attributes") or {})
            except ValidationError as error:
                raise wrong(str(path), error, prefix="attributes.") from None
            yield checked(declared, where=str(path))


def checked(declared: Line, *, where: str) -> Line:
    """Fill in `{{ env('NAME', 'default') }}` and let the family check its part; ConfigError names place and key."""
    line = Line.model_validate(_rendered(declared.model_dump(), where))
    known = load_family(line.family)
    _fitting(line, known, family_config(known, line.config, where=where), where)
    return line


def declared_in(line: str, chosen: Settings | None = None) -> Path | None:
    """Return the YAML file that declares a line, None if there is none."""
    return next((path for path in line_files(chosen or read_settings()) if line in _declared(path)), None)


def read_policy(path: Path, line: Line, *, merge: bool = False) -> Policy:
    """Read another policy for a line: a policy's keys, or whatever holds them under `policy` (a line's YAML).

    With `merge` the file names only what differs from the line's own policy. ConfigError names file and key.
    """
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", "Name a YAML file.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}.", "Correct it.") from None
    attributes = [each.get("attributes") or each for each in documents if isinstance(each, dict)]
    own = [each for each in attributes if each.get("line", line.line) == line.line]
    given = own[0].get("policy", own[0]) if own else None
    if not isinstance(given, dict):
        raise ConfigError(f"{path} holds no policy for {line.line}.", "`mlops policy show LINE --json` prints one.")
    wanted = _merged(line.policy.model_dump(mode="json"), given) if merge else given
    try:
        policy = Policy.model_validate(_rendered(wanted, str(path)))
    except ValidationError as error:
        raise wrong(str(path), error, prefix="policy.") from None
    return checked(line.model_copy(update={"policy": policy}), where=str(path)).policy


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    def one(old: Any, new: Any) -> Any:
        return _merged(old, new) if isinstance(old, dict) and isinstance(new, dict) else new

    return base | {key: one(base.get(key), value) for key, value in changes.items()}


def _declared(path: Path) -> set[str]:
    return {line.line for line in lines_in(path)}


def _fitting(line: Line, known: Family, config: BaseModel, where: str) -> None:
    """Raise ConfigError where a policy names what the line does not have: it would never approve, or never ask."""
    policy = line.policy
    metrics = [metric.name for metric in known.metrics(config)]
    named = {"primary": policy.primary.metric}
    for key in ("business", "protected", "analyst_may_approve_within"):
        named |= {f"{key}.{at}": each.metric for at, each in enumerate(getattr(policy, key))}
    for key, metric in named.items():
        if metric not in metrics:
            raise ConfigError(
                f"{where} is wrong. policy.{key}.metric: {line.line} has no metric '{metric}'.",
                f"Its metrics are: {', '.join(metrics)}.",
            )
    if policy.analyst_may_approve_within and policy.analyst is None:
        raise ConfigError(
            f"{where} is wrong. policy.analyst_may_approve_within: it leaves a trade-off to an analyst, and there is "
            "none.",
            "Name a model under policy.analyst.model, or remove the trade-off.",
        )
    least = policy.alpha / max(policy.looks_budget, policy.openings_budget)
    if least < LEAST_ERROR:
        raise ConfigError(
            f"{where} is wrong. policy.alpha: {policy.alpha:g} shared by as many looks leaves each {least:.1g}; below "
            f"{LEAST_ERROR:g} a bootstrap takes too long to tell.",
            "Raise alpha, or lower looks_budget and openings_budget.",
        )
    for at, changes in enumerate(policy.retrain_with):
        try:
            known.Config.model_validate({**line.config, **changes})
        except ValidationError as error:
            raise wrong(where, error, prefix=f"policy.retrain_with.{at}.") from None


def _rendered(value: Any, where: str) -> Any:
    match value:
        case dict():
            return {key: _rendered(each, where) for key, each in value.items()}
        case list() | tuple():
            return [_rendered(each, where) for each in value]
        case str() if "{{" in value:
            try:
                return Environment(undefined=StrictUndefined).from_string(value).render(env=_variable)
            except TemplateError as error:
                raise ConfigError(
                    f"{where}: {value} cannot be filled in: {error}.", "Use env('NAME', 'default')."
                ) from None
        case _:
            return value


def _variable(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None:
        raise ConfigError(f"The environment variable {name} is not set.", f"Set it, or write env('{name}', 'default').")
    return value
