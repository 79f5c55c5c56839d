"""The data sets of tests/data/prepare, in the formats that they really have, and what comes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from typer.testing import CliRunner, Result

from laser_verl.cli import app

FOLDER = Path(__file__).parents[2] / "data" / "prepare"
PARQUET = ("dapo_math", "openr1_math", "math", "gsm8k", "skywork_or1")
COLUMNS = "problem=exercise,gold=result,difficulty=points,budget=tokens"
NAMES = ("deepscaler", *PARQUET, "table")


def lines(name: str) -> list[dict[str, Any]]:
    """The rows of a data set that is stored as JSON lines."""
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def data_file(name: str, folder: Path) -> Path:
    """A data set as its authors publish it."""
    if name == "deepscaler":
        return FOLDER / "deepscaler.json"
    if name == "table":
        return FOLDER / "table.csv"
    pq.write_table(pa.Table.from_pylist(lines(name)), folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def call(*arguments: object) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["prepare", *map(str, arguments)])


def prepare(*arguments: object) -> dict[str, Any]:
    """Run the command, which has to succeed, and return its card."""
    result = call(*arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def prepare_set(name: str, folder: Path, *options: object) -> dict[str, Any]:
    """Prepare one of the data sets into `folder / "out"`."""
    columns = ("--columns", COLUMNS) if name == "table" else ()
    return prepare(name, data_file(name, folder), "--to", folder / "out", *columns, *options)


def refusal(*arguments: object) -> tuple[int, str]:
    """Exit code and message of a command that has to fail."""
    result = call(*arguments)
    assert result.exit_code in (1, 2), result.stdout
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1 or "Usage" in result.stderr
    return result.exit_code, result.stderr


def rows_of(folder: Path, *splits: str) -> list[dict[str, Any]]:
    """The rows of some splits, of all where none is named, by their index."""
    files = [folder / f"{split}.parquet" for split in splits or ("train", "monitor", "validation")]
    rows = [row for file in files if file.exists() for row in pq.read_table(file).to_pylist()]
    return sorted(rows, key=lambda row: row["extra_info"]["index"])


def findings(folder: Path) -> list[dict[str, Any]]:
    """The lines of the file of findings."""
    path = folder / "findings.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
