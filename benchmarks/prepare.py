"""What `laser-verl prepare` costs on 10^6 rows: `python benchmarks/prepare.py`.

Writes a synthetic data set in the layout of DeepScaleR, as JSON lines and as parquet, every tenth row a copy of the
one before. Prepares each twice, without what the target leaves out (tokenizer, gold answers, evaluation sets), and
once more, the first 10^5 rows only, with gold answers and evaluation sets. Each time it is the command itself, in a
process of its own: rows per second with its start and the hashes of the card, and the largest resident size that the
kernel saw. Both times the files are the same byte for byte, or it fails. Takes about two minutes on two cores.
`--rows` takes another number.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

ROWS, COPIES = 10**6, 10
PARTS = 10  # of the rows with everything on
BARE = ("--golds", "off", "--no-decontaminate")
_WORDS = (
    *("integer", "positive", "circle", "radius", "triangle", "angle", "probability", "sequence", "sum", "product"),
    *("polynomial", "prime", "real", "roots", "value", "points", "plane", "distinct", "numbers", "length", "side"),
)


@dataclass(frozen=True)
class Cost:
    """What one run took."""

    rows: int
    seconds: float
    peak_mib: float


def problems(number: int) -> Iterator[dict[str, str]]:
    """Rows of some 250 characters."""
    for row in range(number):
        index = row - (row % COPIES == 1)  # a copy of the row before
        words = " ".join(random.Random(index).choices(_WORDS, k=32))
        yield {
            "problem": f"Problem {index}: let $x_{{{index}}}$ be an {words}. Find ${index % 97}x+{index % 89}$.",
            "answer": str(index % 1009) if index % 4 else rf"\frac{{{index % 97}}}{{{index % 89 + 1}}}",
        }


def write_inputs(folder: Path, number: int) -> dict[str, Path]:
    """The same rows in two formats, and the first part of them."""
    lines, part, table = (folder / name for name in ("rows.jsonl", "part.jsonl", "rows.parquet"))
    with lines.open("w", encoding="utf-8") as every, part.open("w", encoding="utf-8") as some:
        for row, problem in enumerate(problems(number)):
            text = json.dumps(problem) + "\n"
            every.write(text)
            if row < number // PARTS:
                some.write(text)
    schema = pa.schema({"problem": pa.string(), "answer": pa.string()})
    with pq.ParquetWriter(table, schema) as writer:
        batch: list[dict[str, str]] = []
        for row, problem in enumerate(problems(number), 1):
            batch.append(problem)
            if len(batch) == 1 << 16 or row == number:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
                batch = []
    return {"JSON lines": lines, "parquet": table, "part": part}


def prepare(source: Path, to: Path, *options: str) -> Cost:
    """Run the command, and see what it took."""
    command = [sys.executable, "-m", "laser_verl", "prepare", "deepscaler", str(source), "--to", str(to), *options]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    if status:
        raise SystemExit(said)
    rows = json.loads((to / "card.json").read_text(encoding="utf-8"))["rows"]["read"]
    return Cost(rows, seconds, usage.ru_maxrss / 1024)


def same_files(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files, byte for byte."""
    names = sorted(path.name for path in one.iterdir())
    return names == sorted(path.name for path in other.iterdir()) and all(
        (one / name).read_bytes() == (other / name).read_bytes() for name in names
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    number = parser.parse_args().rows
    table = Table("input", "stages", "rows", "seconds", "rows/s", "peak MiB", "same bytes twice")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        inputs = write_inputs(folder, number)
        for name in ("JSON lines", "parquet"):
            costs = [prepare(inputs[name], folder / f"{name} {turn}", *BARE) for turn in (1, 2)]
            is_same = same_files(folder / f"{name} 1", folder / f"{name} 2")
            for cost in costs:
                table.add_row(*_cells(name, "read, deduplicate, split, write", cost), "yes" if is_same else "NO")
            if not is_same:
                raise SystemExit(f"the two runs on {name} differ")
        cost = prepare(inputs["part"], folder / "all")
        table.add_row(*_cells("JSON lines", "also gold answers and evaluation sets", cost), "")
    Console(width=120).print(table)


def _cells(name: str, stages: str, cost: Cost) -> tuple[str, ...]:
    speed = f"{cost.rows / cost.seconds:,.0f}"
    return name, stages, f"{cost.rows:,}", f"{cost.seconds:.1f}", speed, f"{cost.peak_mib:.0f}"


if __name__ == "__main__":
    main()
