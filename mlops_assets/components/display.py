"""Tables, pictures and lists as the Dagster UI shows them."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

Metadata = Mapping[str, Any]


def table(rows: Sequence[Mapping[str, str | int | float]]) -> dg.TableMetadataValue:
    """Return rows as a table; columns are those of the first row."""
    names = {int: "int", float: "float"}
    columns = [dg.TableColumn(name, names.get(type(value), "string")) for name, value in rows[0].items()]
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows], schema=dg.TableSchema(columns))


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """Return a PNG as markdown that holds it."""
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")


def bullets(sentences: Sequence[str]) -> dg.MarkdownMetadataValue:
    """Return sentences as a bulleted list."""
    return dg.MetadataValue.md("\n".join(f"- {sentence}" for sentence in sentences))
