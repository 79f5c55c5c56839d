"""The data files: what the checks need of them, without reading images and videos to the end."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

FIRST_ROWS = 64
"""Rows per file whose prompts, images and the like are read."""

_EVERY_ROW = ("data_source", "reward_model")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Rows:
    """A data file, as far as the checks look."""

    schema: pa.Schema
    """Of the whole file."""

    num_rows: int

    every: pa.Table
    """Columns of which every row is checked, where the file has them; of extra_info only what the method reads."""

    first: pa.Table
    """Prompts, images and the like of the first rows."""

    @property
    def names(self) -> list[str]:
        """All columns of the file."""
        return list(self.schema.names)


def read_rows(path: Path, prompt_key: str, media: Sequence[str], columns: Sequence[str] = ()) -> Rows:
    """Read a parquet, json or jsonl file.

    Args:
        path: The file.
        prompt_key: Its column of prompts.
        media: Its columns of images and the like.
        columns: What the method reads of its column extra_info.

    Returns:
        What the checks need.

    Raises:
        pa.ArrowException: If it is not what its name says.
        ValueError: If it holds a JSON array that is broken.
        OSError: If it cannot be read.
    """
    if path.suffix != ".parquet":
        table = read_json(path)
        return Rows(table.schema, len(table), table, table.slice(0, FIRST_ROWS))
    parquet = pq.ParquetFile(path, memory_map=True)
    names = parquet.schema_arrow.names
    of_extra_info = [f"extra_info.{name}" for name in columns]
    every = parquet.read(columns=[*(name for name in _EVERY_ROW if name in names), *of_extra_info])
    shown = [name for name in (prompt_key, *media) if name in names]
    batch = next(parquet.iter_batches(batch_size=FIRST_ROWS, columns=shown), None)
    first = parquet.schema_arrow.empty_table() if batch is None else pa.Table.from_batches([batch])
    return Rows(parquet.schema_arrow, parquet.metadata.num_rows, every, first)


def refusal(schema: pa.Schema, other: pa.Schema) -> str | None:
    """Why the rows of two files cannot stand in one data set, in the words of the library that verl loads them with.

    Args:
        schema: Of one file.
        other: Of another file.

    Returns:
        None where they can.
    """
    import datasets

    # without a row there would be nothing to put together
    rows = [
        datasets.Dataset(pa.table([pa.nulls(1, one.type) for one in each], schema=each)) for each in (schema, other)
    ]
    try:
        datasets.concatenate_datasets(rows)
    except (ValueError, TypeError, pa.ArrowException) as error:
        return str(error)
    return None


def read_json(path: Path) -> pa.Table:
    """Read JSON lines, or one array of rows, which verl's loader takes too."""
    with path.open("rb") as file:
        begins = file.read(len(_BYTE_ORDER_MARK) + 1).removeprefix(_BYTE_ORDER_MARK)
    if not begins.startswith(b"["):
        return pj.read_json(path)
    lines = [json.dumps(row).encode() for row in json.loads(path.read_text(encoding="utf-8-sig"))]
    options = pj.ReadOptions(block_size=max(_BLOCK, *map(len, lines)))
    return pj.read_json(io.BytesIO(b"\n".join(lines)), read_options=options)
