"""The table of prompts that `laser-verl state export` writes.

Shape letter: P prompts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from laser_verl.core.bands import BANDS
from laser_verl.core.prompt_index import key_texts
from laser_verl.core.tracker import DifficultyTracker

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".csv", ".jsonl")

_ROWS_AT_A_TIME = 2**16


def write_table(file: BinaryIO, tracker: DifficultyTracker, suffix: str) -> None:
    """Write one row for each prompt, in the order of the tracker.

    Args:
        file: Open for writing.
        tracker: What is known of the prompts.
        suffix: One of `SUFFIXES`.
    """
    from pyarrow import csv, parquet

    batches = _batches(tracker)
    if suffix == ".jsonl":
        for batch in batches:
            file.writelines(json.dumps(row, allow_nan=False).encode() + b"\n" for row in batch.to_pylist())
        return
    kind = {".parquet": parquet.ParquetWriter, ".csv": csv.CSVWriter}[suffix]
    with kind(file, _schema()) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _schema() -> pa.Schema:
    import pyarrow as pa

    counts, streaks = ("drawn", "responses", "solved"), ("solved_streak", "failed_streak")
    return pa.schema(
        {
            "prompt_key": pa.string(),
            **dict.fromkeys(counts, pa.uint32()),
            "pass_rate": pa.float64(),
            "band": pa.string(),
            "last_step": pa.int32(),
            "mean_correct_length": pa.float32(),
            "shortest_correct": pa.int32(),
            **dict.fromkeys(streaks, pa.uint16()),
        }
    )


def _batches(tracker: DifficultyTracker) -> Iterator[pa.RecordBatch]:
    """The table in parts; null is a rate, band or step of a prompt not seen, and a length of one never solved."""
    import pyarrow as pa

    keys, schema = tracker.keys, _schema()
    for first in range(0, tracker.size, _ROWS_AT_A_TIME):
        rows = slice(first, first + _ROWS_AT_A_TIME)
        is_unseen, is_unsolved = ~tracker.is_seen(rows), tracker.solved[rows] == 0
        shortest = np.where(is_unsolved, 0, tracker.shortest[rows]).astype(np.int32)
        own = {
            "prompt_key": key_texts(keys[rows]),
            "pass_rate": pa.array(tracker.pass_rate(rows), mask=is_unseen),
            "band": [BANDS[band] if band >= 0 else None for band in tracker.bands(rows).tolist()],
            "last_step": pa.array(tracker.last_step[rows], mask=is_unseen),
            "mean_correct_length": pa.array(tracker.correct_length[rows], mask=is_unsolved),
            "shortest_correct": pa.array(shortest, mask=is_unsolved),
        }
        columns = {name: own[name] if name in own else getattr(tracker, name)[rows] for name in schema.names}
        yield pa.RecordBatch.from_pydict(columns, schema=schema)
