"""The sample batches of a line, as `data/samples/<line>/demo.yaml` lists them for the demo."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mlops_assets.core.errors import ConfigError, NotFound

LIST = "demo.yaml"


class Sample(BaseModel):
    """One batch of the demo: its file, what it shows, and how a review of it is answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(description="File or folder beside demo.yaml")
    shows: str = Field(description="One phrase: what is in the batch")
    approve: bool | None = Field(default=None, description="The demo's answer to a review; none: it stays open")
    reason: str = Field(default="", description="The reason that the answer is given with")


SAMPLES = TypeAdapter(tuple[Sample, ...])


def with_samples(folder: Path) -> list[str]:
    """Return the names of the lines that have sample batches under `folder`."""
    return sorted(path.parent.name for path in folder.glob(f"*/{LIST}"))


def read_samples(folder: Path) -> tuple[Sample, ...]:
    """Read the sample batches in `folder`; NotFound without a list or a file of it, ConfigError for a wrong key."""
    listed = folder / LIST
    if not listed.is_file():
        raise NotFound(f"{folder.name} has no sample batches: {listed} is missing.", "Name a line that has some.")
    try:
        samples = SAMPLES.validate_python(yaml.safe_load(listed.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ConfigError(f"{listed} is not YAML: {error}.", "Correct it.") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigError(f"{listed} is wrong. {problems}.", "Correct the key.") from None
    for sample in samples:
        if not (folder / sample.file).exists():
            raise NotFound(f"The sample {folder / sample.file} is missing.", "Restore it with `git checkout`.")
    return samples
