"""Read a Parquet file in bounded memory: a small one can unfold to any size."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions when it is imported)

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops_assets.core.records.data import Finding
from mlops_assets.families.text.config import Config
from mlops_assets.families.text.findings import finding
from mlops_assets.families.text.table import Table, as_text, known_columns

MOST_BYTES = 1 << 30
_BATCH_ROWS = 8_192


def read_parquet(path: Path, name: str, config: Config) -> Iterator[Table | Finding]:
    """Yield the table of a Parquet file, and a finding for what is not in it."""
    try:
        with path.open("rb") as opened:
            head = pq.ParquetFile(opened)
            names = list(head.schema_arrow.names)
            known, remarks = known_columns(names, name, config)
            yield from remarks
            if known:
                wanted = {names[at]: column for at, column in known.items()}
                text = [each for each in wanted if pa.types.is_string(head.schema_arrow.field(each).type)]
                file = pq.ParquetFile(opened, read_dictionary=text)
                columns = _small_batches(file, wanted, config.max_chars)
                rows = len(next(iter(columns.values())))
                yield Table.of(name, columns, np.arange(1, rows + 1))
    except (pa.ArrowException, OSError, ValueError) as error:
        yield finding("TXT006", name, str(error).partition("\n")[0])


def _small_batches(file: pq.ParquetFile, wanted: dict[str, str], longest: int) -> dict[str, pa.StringArray]:
    """Read few rows at a time: a small file can unfold to any size, for a repeated value is stored once."""
    parts: dict[str, list[pa.StringArray]] = {column: [] for column in wanted.values()}
    size = 0
    for batch in file.iter_batches(_BATCH_ROWS, columns=list(wanted)):
        for name, column in wanted.items():
            part = as_text(pa.chunked_array([_shortened(batch.column(name), longest)]))
            size += part.nbytes
            parts[column].append(part)
        if size > MOST_BYTES:
            raise ValueError(f"it unfolds to more than {MOST_BYTES >> 20} MB")
    return {column: pa.concat_arrays(each) if each else pa.array([], pa.string()) for column, each in parts.items()}


def _shortened(column: pa.Array, longest: int) -> pa.Array:
    """Replace values that are repeated by reference and longer than any message may be by one that is just too long."""
    if not isinstance(column, pa.DictionaryArray):
        return column
    long = pc.greater(pc.binary_length(column.dictionary), 4 * longest)
    values = pc.if_else(long, pa.scalar("x" * (longest + 1)), column.dictionary)
    return pa.DictionaryArray.from_arrays(column.indices, values)
