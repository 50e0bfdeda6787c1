"""The composition root: settings in, a `Platform` with every port filled out.

Definitions, command line and worker all come here; nothing else knows which adapter stands behind a port, and
adapters are imported only when a platform is really made, so that loading definitions stays light.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import os
import pkgutil
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import yaml
from dotenv import dotenv_values
from jinja2 import Environment, StrictUndefined, TemplateError
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mlops_assets import families
from mlops_assets.core.digests import sha256_file, tree_digest
from mlops_assets.core.errors import ConfigError, MissingExtra
from mlops_assets.core.family import Family
from mlops_assets.core.line import Line
from mlops_assets.core.policy import Policy
from mlops_assets.core.ports.execution import Compute
from mlops_assets.core.ports.intake import InboxSource
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.serving import Live

PACKAGE = Path(__file__).parent
PREFIX = "MLOPS_"
LEAST_ERROR = 1e-5  # of one bound: it takes 2.5 million resamples
MODEL_LINE = "mlops_assets.components.ModelLine"


class Settings(BaseSettings):
    """Where state lives and who is told; every field is an environment variable MLOPS_<FIELD> or a line in .env."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, dotenv_filtering="match_prefix")

    root: Path = Field(default=PACKAGE.parent, description="Project folder: workspace.yaml, data/, .env")
    home: Path = Field(
        default_factory=lambda data: data["root"] / "data" / "home", description="Folder that everything is written to"
    )
    database_url: str = Field(
        default_factory=lambda data: f"sqlite:///{data['home']}/platform.db",
        description="SQLAlchemy address of the platform's own tables",
    )
    artifacts_url: str = Field(
        default_factory=lambda data: str(data["home"] / "artifacts"),
        description="Folder or fsspec address of the artifact store",
    )
    tracking_uri: str = Field(
        default_factory=lambda data: f"sqlite:///{data['home']}/mlflow.db", description="MLflow tracking address"
    )
    tracking_ui: str = Field(default="http://127.0.0.1:5000", description="Where people open MLflow's pages")
    dagster_ui: str = Field(default="http://127.0.0.1:3000", description="Where people, and the gateway, reach Dagster")
    gateway_url: str = Field(default="http://127.0.0.1:8000", description="Where clients reach the gateway")
    api_key: SecretStr | None = Field(default=None, description="Key that the Python client calls the gateway with")
    checkpoints_url: str = Field(
        default_factory=lambda data: f"sqlite:///{data['home']}/checkpoints.db",
        description="Address of the decision agent's checkpoints",
    )
    alert_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Apprise addresses that alerts go to, separated by spaces"
    )
    lines: Path | None = Field(default=None, description="Folder with more line YAMLs, beside those in the package")
    actor: str | None = Field(default=None, description="Name that the ledger shows for commands; default: the login")

    @field_validator("root", "home", "lines")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path and path.expanduser().absolute()

    @field_validator("alert_urls", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(value.split()) if isinstance(value, str) else value


def settings(**changes: Any) -> Settings:
    """Read the environment and .env; ConfigError names the variable that is unknown or wrong."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    given = {name for name in (*os.environ, *dotenv_values(dotenv())) if name.upper().startswith(PREFIX)}
    if unknown := sorted(name for name in given if name.upper() not in known):
        raise ConfigError(f"Unknown setting {', '.join(unknown)}.", f"The settings are: {', '.join(sorted(known))}.")
    try:
        return Settings(_env_file=dotenv(), **changes)  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        problems = "; ".join(f"{PREFIX}{_key(each['loc']).upper()}: {each['msg']}" for each in error.errors())
        raise ConfigError(
            f"A setting is wrong. {problems}.", f"Correct it in the environment or in {dotenv()}."
        ) from None


def dotenv() -> Path:
    """Return where the project's .env is, or would be."""
    return Path(os.environ.get(f"{PREFIX}ROOT", PACKAGE.parent)) / ".env"


def platform(chosen: Settings | None = None, *, compute: Compute | None = None) -> Platform:
    """Fill every port from settings; `compute` replaces the local processes that tasks run in."""
    from mlops_assets.adapters.alerts_apprise import AppriseAlerts
    from mlops_assets.adapters.analyst_langchain import LangChainAnalyst
    from mlops_assets.adapters.artifact_store import FsspecStore
    from mlops_assets.adapters.challenger_langchain import LangChainChallengers
    from mlops_assets.adapters.dagster_graphql import DagsterGraphql
    from mlops_assets.adapters.database.batches import SqlBatches
    from mlops_assets.adapters.database.engine import Database
    from mlops_assets.adapters.database.events import SqlEvents
    from mlops_assets.adapters.database.keys import SqlKeys
    from mlops_assets.adapters.database.leases import SqlLeases
    from mlops_assets.adapters.database.ledger import SqlLedger
    from mlops_assets.adapters.database.outbox import Outbox
    from mlops_assets.adapters.database.records import SqlRecords
    from mlops_assets.adapters.database.reviews import SqlReviews
    from mlops_assets.adapters.database.versions import SqlVersions
    from mlops_assets.adapters.database.watch import SqlWatch
    from mlops_assets.adapters.hub_huggingface import HuggingFaceHub
    from mlops_assets.adapters.judge_langchain import LangChainJudge
    from mlops_assets.adapters.process import LocalProcess
    from mlops_assets.adapters.serving_pointer import ServingPointer
    from mlops_assets.adapters.tracker_mlflow import MlflowTracker

    made = chosen or settings()
    made.home.mkdir(parents=True, exist_ok=True)
    # Matplotlib would keep its list of fonts in the user's own cache; nothing is written outside the home.
    os.environ.setdefault("MPLCONFIGDIR", str(made.home / "cache" / "matplotlib"))
    database = Database(made.database_url)
    outbox, leases, store = Outbox(database), SqlLeases(database), FsspecStore(made.artifacts_url, made.home)
    return Platform(
        home=made.home,
        root=made.root,
        store=store,
        batches=SqlBatches(database),
        records=SqlRecords(database),
        ledger=SqlLedger(database),
        versions=SqlVersions(database),
        reviews=SqlReviews(database),
        events=SqlEvents(database),
        watch=SqlWatch(database),
        keys=SqlKeys(database),
        leases=leases,
        alerts=AppriseAlerts(made.alert_urls, outbox=outbox, leases=leases),
        tracker=MlflowTracker(
            made.tracking_uri, made.home, store=store, outbox=outbox, leases=leases, ui=made.tracking_ui
        ),
        compute=compute or LocalProcess(made.home, root=made.root),
        serving=ServingPointer(made.home, store=store),
        hub=HuggingFaceHub(),
        judge=LangChainJudge(),
        analyst=LangChainAnalyst(),
        challengers=LangChainChallengers(),
        orchestrator=DagsterGraphql(made.dagster_ui),
        family=family,
        lines=functools.cache(lambda: tuple(lines(made))),
        code_version=code_version,
        checkpoints_url=made.checkpoints_url,
    )


def live(line: str, chosen: Settings | None = None) -> Live | None:
    """Return what is published of a line, None for nothing; no database is opened."""
    from mlops_assets.adapters.artifact_store import FsspecStore
    from mlops_assets.adapters.serving_pointer import ServingPointer

    made = chosen or settings()
    return ServingPointer(made.home, store=FsspecStore(made.artifacts_url, made.home)).live(line)


def inbox(chosen: Settings | Platform, line: Line) -> Path:
    """Return the folder that is watched for a line's uploads."""
    return chosen.root / line.inbox if line.inbox else chosen.home / "inbox" / line.line


def inbox_source(chosen: Settings | Platform, line: Line) -> InboxSource:
    """Return what looks for a line's uploads."""
    from mlops_assets.adapters.inbox_folder import InboxFolder

    return InboxFolder(inbox(chosen, line))


def family(name: str) -> Family:
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
        raise _wrong(where, error, prefix="config.") from None


def process_environment(chosen: Settings | None = None) -> dict[str, str]:
    """Return what a server or daemon of this platform needs in its environment; Dagster's home is made."""
    made = chosen or settings()
    return {
        "DAGSTER_HOME": str(dagster_home(made.home)),
        f"{PREFIX}HOME": str(made.home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_WAIT_POLICY": "passive",
    }


def dagster_home(home: Path) -> Path:
    """Return <home>/dagster; a missing dagster.yaml is written once, from then on it is the operator's."""
    folder = home / "dagster"
    target = folder / "dagster.yaml"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copyfile(PACKAGE / "dagster.yaml", partial)
        partial.replace(target)
    return folder


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


def lines(chosen: Settings | None = None) -> list[Line]:
    """Read every declared line; ConfigError names file and key of what is wrong, or both files of a double name."""
    found: dict[str, tuple[Line, Path]] = {}
    for path in line_files(chosen or settings()):
        for line in read_lines(path):
            if line.line in found:
                other = found[line.line][1]
                raise ConfigError(f"{path} and {other} both declare the line '{line.line}'.", "Rename one of them.")
            found[line.line] = (line, path)
    return [line for line, _ in found.values()]


def read_lines(path: Path) -> Iterator[Line]:
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
                raise _wrong(str(path), error, prefix="attributes.") from None
            yield checked(declared, where=str(path))


def checked(declared: Line, *, where: str) -> Line:
    """Fill in `{{ env('NAME', 'default') }}` and let the family check its part; ConfigError names place and key."""
    line = Line.model_validate(_rendered(declared.model_dump(), where))
    known = family(line.family)
    _fitting(line, known, family_config(known, line.config, where=where), where)
    return line


def declared_in(line: str, chosen: Settings | None = None) -> Path | None:
    """Return the YAML file that declares a line, None if there is none."""
    return next((path for path in line_files(chosen or settings()) if line in _declared(path)), None)


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
        raise _wrong(str(path), error, prefix="policy.") from None
    return checked(line.model_copy(update={"policy": policy}), where=str(path)).policy


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    def one(old: Any, new: Any) -> Any:
        return _merged(old, new) if isinstance(old, dict) and isinstance(new, dict) else new

    return base | {key: one(base.get(key), value) for key, value in changes.items()}


def _declared(path: Path) -> set[str]:
    return {line.line for line in read_lines(path)}


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
            raise _wrong(where, error, prefix=f"policy.retrain_with.{at}.") from None


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


def _wrong(where: str, error: ValidationError, *, prefix: str) -> ConfigError:
    problems = "; ".join(f"{prefix}{_key(each['loc'])}: {each['msg']}" for each in error.errors())
    return ConfigError(f"{where} is wrong. {problems}.", "Correct the key; `mlops lines` reads it again.")


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


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
