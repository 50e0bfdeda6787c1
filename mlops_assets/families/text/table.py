"""Rows of a batch as columns of text, whatever file they came from."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions when it is imported)

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops_assets.core.records.data import Finding
from mlops_assets.families.text.config import Config
from mlops_assets.families.text.findings import finding


@dataclass(frozen=True)
class Table:
    """Rows of one file or of several: known columns as text ('' where a value is missing), file and number of a row."""

    columns: dict[str, pa.StringArray]
    numbers: np.ndarray
    files: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, name: str, columns: dict[str, pa.StringArray], numbers: np.ndarray) -> Self:
        """Return the table of one file, whose rows have these numbers."""
        return cls(columns, numbers, ((name, len(numbers)),))

    @classmethod
    def joined(cls, tables: "Sequence[Table]") -> "Table":
        """Return the rows of several tables; a column that some lack is empty in theirs."""
        if len(tables) == 1:
            return tables[0]
        names = dict.fromkeys(name for table in tables for name in table.columns)
        columns = {name: pa.concat_arrays([table.column(name) for table in tables]) for name in names}
        files = tuple(each for table in tables for each in table.files)
        return cls(columns, np.concatenate([np.zeros(0, int), *(table.numbers for table in tables)]), files)

    def column(self, name: str) -> pa.StringArray:
        """Return a column, one of empty cells where there is none."""
        if name in self.columns:
            return self.columns[name]
        return pa.repeat(pa.scalar("", pa.string()), len(self))

    def where(self, row: int) -> str:
        """Return file and number of a row as a person would look for it."""
        ends = np.cumsum([rows for _, rows in self.files])
        return f"{self.files[int(np.searchsorted(ends, row, 'right'))][0]} row {self.numbers[row]}"

    def __len__(self) -> int:
        return len(self.numbers)


def known_columns(names: list[str], name: str, config: Config) -> tuple[dict[int, str], list[Finding]]:
    """Return which of a file's columns are known, by position, and what is wrong with the others."""
    known = {column.casefold(): column for column in config.columns if column}
    found = [known.get(each.strip().casefold(), "") for each in names]
    missing = [column for column in config.required if column not in found]
    twice = sorted({column for column in found if column and found.count(column) > 1})
    if missing or twice:
        wrong = [f"no column {column}" for column in missing] + [f"column {column} twice" for column in twice]
        return {}, [finding("TXT002", name, f"{', '.join(wrong)}; there are: {', '.join(names)}")]
    ignored = [finding("TXT035", detail=each) for each, column in zip(names, found, strict=True) if not column]
    return {at: column for at, column in enumerate(found) if column}, ignored


def as_text(column: pa.ChunkedArray) -> pa.StringArray:
    """Return a column as text, lists joined by ';', missing values as ''."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        column = pc.binary_join(pc.cast(column, pa.list_(pa.string())), ";")
    array = pc.cast(column, pa.string()).combine_chunks()
    array = array if isinstance(array, pa.StringArray) else pa.concat_arrays(array.chunks)
    return pc.fill_null(array, "") if array.null_count else array
