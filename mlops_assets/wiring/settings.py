"""Where state lives and who is told: the environment and .env, checked."""

import os
from pathlib import Path
from typing import Annotated, Any

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mlops_assets.core.errors import ConfigError
from mlops_assets.wiring.refusals import key_path

PACKAGE = Path(__file__).parents[1]
PREFIX = "MLOPS_"


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


def read_settings(**changes: Any) -> Settings:
    """Read the environment and .env; ConfigError names the variable that is unknown or wrong."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    given = {name for name in (*os.environ, *dotenv_values(dotenv())) if name.upper().startswith(PREFIX)}
    if unknown := sorted(name for name in given if name.upper() not in known):
        raise ConfigError(f"Unknown setting {', '.join(unknown)}.", f"The settings are: {', '.join(sorted(known))}.")
    try:
        return Settings(_env_file=dotenv(), **changes)  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        problems = "; ".join(f"{PREFIX}{key_path(each['loc']).upper()}: {each['msg']}" for each in error.errors())
        raise ConfigError(
            f"A setting is wrong. {problems}.", f"Correct it in the environment or in {dotenv()}."
        ) from None


def dotenv() -> Path:
    """Return where the project's .env is, or would be."""
    return Path(os.environ.get(f"{PREFIX}ROOT", PACKAGE.parent)) / ".env"
