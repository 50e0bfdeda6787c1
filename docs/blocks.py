"""What docs/decisions.md says that code knows better: `python docs/blocks.py` writes it anew, and a test compares.

The agent's graph is drawn from the graph that runs, the table of a policy's numbers from the model that YAML is
checked by.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from mlops_assets.core.policy import Policy
from mlops_assets.lifecycle.decide.graph import picture

PAGE = Path(__file__).parent / "decisions.md"


def blocks() -> dict[str, str]:
    """Return the text of each generated block by its name."""
    rows = (f"| `{key}` | {default} | {meaning} |" for key, default, meaning in _fields(Policy))
    return {
        "graph": f"```mermaid\n{picture().strip()}\n```",
        "policy": "\n".join(["| Key | Default | Meaning |", "| --- | --- | --- |", *rows]),
    }


def filled(page: str) -> str:
    """Return a page whose blocks are what code says; the rest is left as it is."""
    for name, text in blocks().items():
        block = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        page = block.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)
    return page


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield key, default and meaning of each number, also of the models within."""
    for key, field in model.model_fields.items():
        inner = next((each for each in _types(field.annotation) if issubclass(each, BaseModel)), None)
        if inner is None or field.description:
            default = "needed" if field.is_required() else _shown(field.get_default())
            yield f"{prefix}{key}", default, field.description or ""
        if inner is not None:
            yield from _fields(inner, f"{prefix}{key}{'[]' * _many(field.annotation)}.")


def _types(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for part in get_args(annotation):
        yield from _types(part)


def _many(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is tuple


def _shown(default: Any) -> str:
    match default:
        case None | ():
            return "none"
        case BaseModel():
            return ""
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case "":
            return "empty"
        case _:
            return str(default)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
