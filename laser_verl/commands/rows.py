"""Lines of JSONL as the commands read them: one object a line, strict JSON, and errors that name `FILE:LINE`."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laser_verl.commands import BadInput, WrongUsage, message_of

STANDARD_INPUT = "-"
_NAME_OF_INPUT = "standard input"


@dataclass(frozen=True)
class Row:
    """One parsed line and the place it was read from (`FILE:LINE`)."""

    values: dict[str, Any]
    where: str


def read_rows(source: str, keys: Sequence[str]) -> Iterator[Row]:
    """Parsed lines of JSONL; blank ones are skipped, but counted.

    Args:
        source: A JSONL file, a folder of verl's rollout dumps, or `-` for standard input.
        keys: What a line should hold, for the messages.

    Yields:
        One JSON object per line.

    Raises:
        WrongUsage: If the file or folder does not exist or cannot be read.
        BadInput: If a line is no JSON object; the message starts with `FILE:LINE`.
    """
    for name, number, raw in _lines(source):
        where = f"{name}:{number}"
        try:
            text = raw.decode("utf-8-sig").strip()
            values = parse_json(text) if text else None
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{where}: not a line of JSON: {message_of(error)}") from error
        if not text:
            continue
        if not isinstance(values, dict):
            raise BadInput(f"{where}: a line must be a JSON object like {{{', '.join(keys)}}}, not {kind(values)}")
        yield Row(values, where)


def parse_json(text: str) -> Any:
    """JSON without its traps: a repeated key and NaN or Infinity are errors.

    Args:
        text: One JSON document.

    Returns:
        The value; `{"alpha": 0.5}` gives the dictionary.

    Raises:
        ValueError: If the text is not JSON, repeats a key or holds a number that is not finite.
    """
    return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_reject_constant)


def require(values: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    """Refuse a line that lacks a key.

    Args:
        values: The line.
        keys: What it has to hold.
        where: `FILE:LINE`.

    Raises:
        BadInput: If a key is missing; the message names the key that may be meant by it.
    """
    for key in keys:
        if key not in values:
            near = difflib.get_close_matches(key, values, n=1)
            hint = f"; did you mean it by {near[0]!r}?" if near else ""
            raise BadInput(f"{where}: {key!r} is missing{hint}")


def refuse_misspelt(keys: Iterable[str], known: Sequence[str], where: str) -> None:
    """Refuse a key that is nearly one of the optional ones; any other key is the user's own.

    Args:
        keys: The keys of a line.
        known: The optional keys.
        where: `FILE:LINE`.

    Raises:
        BadInput: If there is such a key, e.g. `prompts`.
    """
    for name in keys:
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.9)
        if near and name not in known:
            raise BadInput(f"{where}: unknown key {name!r}; did you mean {near[0]!r}?")


def name_of(source: str) -> str:
    """What messages call an input.

    Args:
        source: A file, a folder, or `-`.

    Returns:
        Its name; `-` gives `standard input`.
    """
    return _NAME_OF_INPUT if source == STANDARD_INPUT else source


def kind(value: Any) -> str:
    """What JSON calls the value.

    Args:
        value: What `parse_json` returned, or a part of it.

    Returns:
        Words for a message; `[1]` gives `a list`.
    """
    return {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}.get(
        type(value), "null" if value is None else "a number"
    )


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} is given twice; give it once")
    return values


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a finite number; give a number, or leave the value out")


def _lines(source: str) -> Iterator[tuple[str, int, bytes]]:
    """File name, line number from 1, line. Bytes, since text mode would also split at other line separators."""
    if source == STANDARD_INPUT:
        if sys.stdin is None:
            raise WrongUsage("--input -: standard input is closed; give a file")
        for number, line in enumerate(sys.stdin.buffer, 1):
            yield _NAME_OF_INPUT, number, line
        return
    for path in _files(Path(source)):
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    yield str(path), number, line
        except OSError as error:
            raise WrongUsage(f"--input {path}: cannot be read: {error.strerror}") from error


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise WrongUsage(f"--input {path} does not exist; give a JSONL file, a folder of rollout dumps, or -")
    if not path.is_dir():
        return [path]
    steps = [file for file in path.glob("*.jsonl") if file.stem.isascii() and file.stem.isdigit()]
    if not steps:
        raise WrongUsage(
            f"--input {path}: the folder holds no 1.jsonl, 2.jsonl, …; give a run's trainer.rollout_data_dir"
        )
    return sorted(steps, key=lambda file: int(file.stem))
