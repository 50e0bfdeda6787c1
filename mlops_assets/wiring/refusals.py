"""What pydantic found wrong in something a person wrote, as one sentence that names place and key."""

from pydantic import ValidationError

from mlops_assets.core.errors import ConfigError


def wrong(where: str, error: ValidationError, *, prefix: str) -> ConfigError:
    """Return the error to raise; `prefix` is what comes before each key, say `config.`."""
    problems = "; ".join(f"{prefix}{key_path(each['loc'])}: {each['msg']}" for each in error.errors())
    return ConfigError(f"{where} is wrong. {problems}.", "Correct the key; `mlops lines` reads it again.")


def key_path(location: tuple[int | str, ...]) -> str:
    """Return where pydantic found something as a person would write it: `policy.business.0.metric`."""
    return ".".join(str(part) for part in location)
