"""Writing: verl's parquet, a file of findings, and a folder that is there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from laser_verl.commands import BadInput
from laser_verl.core.keys import prompt_key
from laser_verl.data.prepare.plan import Plan
from laser_verl.data.prepare.rows import Row, shown
from laser_verl.data.prepare.splits import SPLITS

FINDINGS = "findings.jsonl"

_ROWS_AT_A_TIME = 8192


class Folder:
    """A new folder that gets its name when all is in it; until then, and for ever after a kill, `.NAME.part-PID`."""

    def __init__(self, path: Path) -> None:
        """Name it.

        Raises:
            BadInput: If something else has the name.
        """
        self.path = Path(os.path.abspath(path))
        self.scratch = self.path.parent / f".{self.path.name}.part-{os.getpid()}"
        self._refuse_if_taken()

    def __enter__(self) -> Path:
        """Make the folder in which to write, and return it."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        return self.scratch

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Give it its name, or remove it after an error."""
        try:
            if error is None:
                self._refuse_if_taken()
                os.replace(self.scratch, self.path)
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _refuse_if_taken(self) -> None:
        if self.path.is_dir() and not any(self.path.iterdir()):
            return
        if os.path.lexists(self.path):
            raise BadInput(f"--to {self.path} exists already; give a new folder, or remove this one")


class Report:
    """What is found of rows: how many of what, and a line for each that is worth one."""

    def __init__(self, folder: Path) -> None:
        """Start without findings."""
        self._path = folder / FINDINGS
        self._file: TextIO | None = None
        self.left_out: Counter[str] = Counter()
        """Rows by reason."""
        self.kept: Counter[str] = Counter()
        """Rows that stay in spite of a finding, by finding."""

    def count(self, reason: str, number: int = 1) -> None:
        """Count rows that are left out and not worth a line each."""
        self.left_out[reason] += number

    def add(self, row: Row, finding: str, is_kept: bool, details: Mapping[str, Any]) -> None:
        """List a row."""
        (self.kept if is_kept else self.left_out)[finding] += 1
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8")
        line = {"row": row.index, "finding": finding, "kept": is_kept, **details, "problem": shown(row.problem)}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Write to the end."""
        if self._file is not None:
            self._file.close()


class Tables:
    """The parquet files of the splits, each written a few thousand rows at a time."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        """Start without files: a split without rows has none."""
        self._folder, self._plan = folder, plan
        self._waiting: dict[str, list[Row]] = {split: [] for split in SPLITS}
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._difficulty: pa.DataType | None = None
        self.num_rows: Counter[str] = Counter()
        """By split."""
        self.sources: Counter[str] = Counter()
        """Rows by data source."""

    def add(self, split: str, row: Row) -> None:
        """Take a row."""
        self.num_rows[split] += 1
        self.sources[row.data_source] += 1
        waiting = self._waiting[split]
        waiting.append(row)
        if len(waiting) == _ROWS_AT_A_TIME:
            self._write(split)

    def close(self) -> None:
        """Write what waits, and end the files."""
        for split in SPLITS:
            self._write(split)
        for writer in self._writers.values():
            writer.close()

    def _write(self, split: str) -> None:
        rows, self._waiting[split] = self._waiting[split], []
        if not rows:
            return
        table = self._table(rows, split)
        if split not in self._writers:
            self._writers[split] = pq.ParquetWriter(self._folder / file_of(split), table.schema)
        self._writers[split].write_batch(table)

    def _table(self, rows: list[Row], split: str) -> pa.RecordBatch:
        prompts = [self._plan.template.messages(row.problem) for row in rows]
        gold_type = pa.list_(pa.string()) if self._plan.layout.has_lists else pa.string()
        info = {
            "index": pa.array([row.index for row in rows], pa.int64()),
            "split": pa.array([split] * len(rows), pa.string()),
            "prompt_key": pa.array(
                [prompt_key(row.data_source, prompt, row.gold) for row, prompt in zip(rows, prompts, strict=True)],
                pa.string(),
            ),
            # in every file, so that verl can read files of several data sets together
            "difficulty": pa.array([row.difficulty for row in rows], self._type_of_difficulty(rows)),
            "budget": pa.array([row.budget for row in rows], pa.int64()),
        }
        gold = {
            "style": pa.array(["rule"] * len(rows), pa.string()),
            "ground_truth": pa.array([row.gold for row in rows], gold_type),
        }
        columns = {
            "data_source": pa.array([row.data_source for row in rows], pa.string()),
            "prompt": _messages(prompts),
            "ability": pa.array([self._plan.layout.ability] * len(rows), pa.string()),
            "reward_model": pa.StructArray.from_arrays(list(gold.values()), list(gold)),
            "extra_info": pa.StructArray.from_arrays(list(info.values()), list(info)),
        }
        return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))

    def _type_of_difficulty(self, rows: list[Row]) -> pa.DataType:
        label = next((row for row in rows if isinstance(row.difficulty, str)), None)
        if self._difficulty is None:
            self._difficulty = pa.float64() if label is None else pa.string()
        if label is not None and self._difficulty == pa.float64():
            raise BadInput(
                f"row {label.index} has the difficulty {label.difficulty!r:.40}, and the rows before it none; put a "
                "row that has one first, so that the column is one of labels from the beginning"
            )
        return self._difficulty


def file_of(split: str) -> str:
    """The name of a split's file."""
    return f"{split}.parquet"


def _messages(prompts: list[list[dict[str, str]]]) -> pa.ListArray:
    every = [message for prompt in prompts for message in prompt]
    fields = [pa.array([message[name] for message in every], pa.string()) for name in ("role", "content")]
    ends = range(0, len(every) + 1, len(every) // len(prompts))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.StructArray.from_arrays(fields, ["role", "content"]))
