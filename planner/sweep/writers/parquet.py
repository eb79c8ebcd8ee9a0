"""parquet: typed columns, row groups of a hundred thousand rows, the notes in the schema's metadata."""

import json
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow import parquet as pq

from planner.sweep.block import Block, Texts
from planner.sweep.columns import Column
from planner.sweep.writers import Sheet

#: Rows of a group but the last: few enough to hold, enough that a reader can skip many at once.
GROUP_ROWS = 100_000
_TYPES = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "date": pa.date32()}


class ParquetWriter:
    """Gathers blocks up to a row group."""

    def __init__(self, file: BinaryIO, sheet: Sheet):
        fields = [pa.field(c.name, _TYPES[c.kind], metadata={"description": c.what}) for c in sheet.columns]
        schema = pa.schema(fields, {"notes": json.dumps(dict(sheet.notes), ensure_ascii=False)})
        self._columns, self._schema = sheet.columns, schema
        self._writer = pq.ParquetWriter(file, schema)
        self._waiting: list[Any] = []

    def write(self, block: Block) -> None:
        """Append the rows."""
        arrays = [_array(block, column) for column in self._columns]
        self._waiting.append(pa.Table.from_arrays(arrays, schema=self._schema))
        if sum(table.num_rows for table in self._waiting) >= GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write the last group and the index of groups."""
        if self._waiting:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=GROUP_ROWS)
        self._waiting = []


def _array(block: Block, column: Column) -> Any:
    values, kind = block.columns[column.name], _TYPES[column.kind]
    if isinstance(values, Texts):
        codes = pa.array(values.codes.astype(np.int32))
        return pa.DictionaryArray.from_arrays(codes, pa.array(values.names, pa.string())).cast(pa.string()).cast(kind)
    return pa.array(values, pa.float64(), from_pandas=True).cast(kind)


def open_writer(name: str, file: BinaryIO, sheet: Sheet) -> ParquetWriter:
    """A writer of parquet."""
    return ParquetWriter(file, sheet)
