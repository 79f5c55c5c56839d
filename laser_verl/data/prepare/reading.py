"""The rows of data files, one after the other whatever their size: parquet, CSV, JSON lines, a JSON array or object."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from laser_verl.commands import BadInput

# Of a parquet file; a row of OpenR1-Math is some 50 kB before its columns are chosen.
_ROWS_AT_A_TIME = 1024
_CHARACTERS_AT_A_TIME = 1 << 20
_BETWEEN = re.compile(r"[\s,]*")


def read_rows(path: Path, columns: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    """Read a file row by row.

    Args:
        path: A file whose name ends in one of `SUFFIXES`.
        columns: The only ones to read of a parquet file; None reads all.

    Yields:
        Each row as a mapping.

    Raises:
        BadInput: If it is not what its name says, breaks off, or holds no rows; with the line where there are lines.
    """
    read = _READERS.get(path.suffix)
    if read is None:
        raise BadInput(f"{path} ends in {path.suffix or 'no suffix'}; give a file that ends in {', '.join(SUFFIXES)}")
    is_empty = True
    try:
        for row in read(path) if columns is None or read is not _parquet else _parquet(path, columns):
            is_empty = False
            yield row
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not text in UTF-8 ({error.reason}); save it as UTF-8, without compression"
        ) from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    if is_empty:
        raise BadInput(f"{path} holds no rows; give a file with at least one")


def fingerprint(path: Path) -> dict[str, Any]:
    """Size and hash of a file, for the data card."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise BadInput(f"{path} is no parquet file, or cut short ({error}); fetch or write it again") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error


def _parquet(path: Path, columns: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    file = _open_parquet(path)
    names = None if columns is None else [name for name in file.schema_arrow.names if name in columns]
    try:
        for batch in file.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=names):
            yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise BadInput(f"{path} is damaged ({error}); fetch or write it again") from error


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(sys.maxsize)  # the default of 131,072 characters is below a long solution
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        try:
            twice = [name for name, number in Counter(rows.fieldnames or ()).items() if name and number > 1]
            if twice:
                raise BadInput(f"{path} has several columns {', '.join(twice)}; rename all but one of each")
            for row in rows:
                if None in row or None in row.values():
                    wanted = len(rows.fieldnames or ())
                    raise BadInput(
                        f"{path}, line {rows.line_num}: the row has other than the {wanted} fields of the first line; "
                        "put text with commas into double quotes"
                    )
                yield row
        except csv.Error as error:
            raise BadInput(f"{path}, line {rows.reader.line_num}: no CSV ({error}); correct the line") from error


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.isspace():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BadInput(f"{path}, line {number}: no JSON ({error}); correct or remove the line") from error
            yield _object(row, f"{path}, line {number}")


def _json(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of one array, or objects one after the other, each of which may take several lines."""
    decoder, text, at, lines = json.JSONDecoder(), "", 0, 0
    with path.open(encoding="utf-8-sig") as file:
        text = file.read(_CHARACTERS_AT_A_TIME).lstrip()
        is_array = text.startswith("[")
        text, is_whole = text[is_array:], False
        while True:
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
            if is_array and text.startswith("]", at):
                if text[at + 1 :].strip() or any(more.strip() for more in file):
                    raise BadInput(f"{path} goes on after the end of its array; give one array, or objects without one")
                return
            try:
                row, at = decoder.raw_decode(text, at)
            except json.JSONDecodeError as error:
                if is_whole:
                    if not text[at:].strip() and not is_array:
                        return
                    said = "the array is not closed" if at >= len(text) else error.msg
                    raise BadInput(
                        f"{path}, line {lines + error.lineno}: no JSON ({said}); the file is broken or cut short: "
                        "fetch or write it again"
                    ) from error
                lines += text.count("\n", 0, at)
                text, at = text[at:], 0
                more = file.read(max(_CHARACTERS_AT_A_TIME, len(text)))
                text, is_whole = text + more, not more
                continue
            except (ValueError, RecursionError) as error:
                line = lines + text.count("\n", 0, at) + 1
                raise BadInput(f"{path}, line {line}: no JSON ({error}); correct or remove the row") from error
            yield _object(row, f"{path}, line {lines + text.count(chr(10), 0, at) + 1}")


def _object(row: Any, where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise BadInput(f'{where}: a row is {type(row).__name__}; give objects, as {{"problem": …, "answer": …}}')
    return row


_READERS: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {
    ".parquet": _parquet,
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _csv,
}
SUFFIXES = tuple(_READERS)
"""Of the files that can be read."""
