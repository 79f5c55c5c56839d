"""The data files: are they there, has every row a gold answer, and is there someone to score it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from omegaconf import DictConfig, ListConfig, OmegaConf

from laser_verl.scoring.tasks import Scorers
from laser_verl.verl_ext.checks.functions import check_object
from laser_verl.verl_ext.checks.golds import gold_problems, sources_of
from laser_verl.verl_ext.checks.report import Report
from laser_verl.verl_ext.checks.scoring import Golds, say
from laser_verl.verl_ext.checks.tables import FIRST_ROWS, Rows, read_rows, refusal


@dataclass(frozen=True)
class Readers:
    """Who reads a row besides the model."""

    golds: Golds

    scorers: Scorers | None
    """Ours, where they score it."""

    timeout_seconds: float
    """Limit of one symbolic comparison."""

    is_seeded: bool
    """Our agent loop seeds its rollouts."""

    columns: tuple[str, ...] = ()
    """What the method reads of extra_info."""


@dataclass
class Split:
    """What one split holds, as far as the checks look."""

    num_rows: int = 0
    sources: set[str] = field(default_factory=set)
    prompts: list[tuple[str, Any]] = field(default_factory=list)
    """(where, messages) of the first rows without images and the like."""
    tables: list[tuple[str, pa.Table]] = field(default_factory=list)
    """(where, data_source and what the method reads of extra_info) of each file, all its rows."""
    schemas: list[tuple[str, pa.Schema]] = field(default_factory=list)
    """(file, its schema) of each file."""


def check_data(config: DictConfig, readers: Readers, report: Report) -> dict[str, Split]:
    """Read the data's columns and first rows.

    Args:
        config: The composed config.
        readers: Who reads the rows.
        report: Takes mistakes, notes and what is active.

    Returns:
        The splits that could be read, by name.
    """
    custom = OmegaConf.select(config, "data.custom_cls.path")
    if custom:
        name = OmegaConf.select(config, "data.custom_cls.name")
        check_object(str(custom), str(name), "data.custom_cls.path", "data.custom_cls.name", report)
        report.notes.append("data.custom_cls reads the data files its own way; they were not checked")
        return {}
    splits: dict[str, Split] = {}
    for name in ("train", "val"):
        key = f"data.{name}_files"
        files = config.data.get(f"{name}_files")
        split, is_complete = Split(), True
        for file in files if isinstance(files, list | ListConfig) else [files]:
            is_read = False
            with report.guard(key):
                is_read = _check_file(key, file, config, split, readers, report)
            is_complete &= is_read
        with report.guard(key):
            _check_together(key, split, report)
        if is_complete:
            splits[name] = split
            _limit(config, name, split)
            if not split.num_rows and not report.names(key):
                report.add(key, f"{key}={files} holds no rows; give a file with at least one")
    report.active["data"] = {
        name: {"rows": split.num_rows, "data_sources": sorted(split.sources)} for name, split in splits.items()
    }
    return splits


def _check_together(key: str, split: Split, report: Report) -> None:
    """The files of a split become one data set in verl."""
    for file, schema in split.schemas[1:]:
        first, other = split.schemas[0]
        reason = refusal(other, schema)
        if reason is not None:
            report.add(
                key, f"{key}: {first} and {file} cannot be read together ({reason:.300}); give their columns one type"
            )


def _limit(config: DictConfig, name: str, split: Split) -> None:
    most = config.data.get(f"{name}_max_samples")
    if isinstance(most, int) and 0 < most < split.num_rows:
        split.num_rows = most


def _check_file(key: str, file: Any, config: DictConfig, split: Split, readers: Readers, report: Report) -> bool:
    """Read one file into the split; False where it could not be read to the end."""
    if file is None:
        report.add(key, f"{key} is not set; give a parquet file with the columns prompt, data_source and reward_model")
        return False
    if "://" in str(file):
        report.notes.append(f"{key}={file} is not on this machine; it was not checked")
        return False
    rows = _read(key, Path(str(file)).expanduser(), config, readers, report)
    if rows is None:
        return False
    split.num_rows += rows.num_rows
    split.schemas.append((str(file), rows.schema))
    where = f"{key}: {file}"
    split.sources |= sources_of(rows)
    if readers.golds is not Golds.UNREAD:
        for problem in gold_problems(where, rows, readers.scorers, readers.timeout_seconds):
            say(key, problem, readers.golds, report)
    if readers.is_seeded and "agent_name" in rows.names:
        report.add(
            key,
            f"{where} has a column agent_name, which takes the place of the seeded agent loop; leave it out",
        )
    _read_prompts(key, where, rows, config, split, report)
    read = [name for name in ("data_source", "extra_info") if name in rows.every.column_names]
    split.tables.append((where, rows.every.select(read)))
    return True


def _read(key: str, path: Path, config: DictConfig, readers: Readers, report: Report) -> Rows | None:
    if not path.is_file():
        report.add(key, f"{key}={path} is no file{_beside(path)}; give a parquet file")
        return None
    if path.suffix not in (".parquet", ".json", ".jsonl"):
        report.add(key, f"{key}={path} must end in .parquet, .json or .jsonl; verl reads nothing else")
        return None
    try:
        return read_rows(path, str(config.data.prompt_key), _media(config), readers.columns)
    except (pa.ArrowException, ValueError, OSError) as error:
        report.add(key, f"{key}={path} is not a readable {path.suffix[1:]} file ({error}); write it again, as parquet")
        return None


def _media(config: DictConfig) -> list[str]:
    return [str(config.data.get(f"{kind}_key", f"{kind}s")) for kind in ("image", "video", "audio")]


def _beside(path: Path) -> str:
    others = sorted(other.name for other in path.parent.glob("*.parquet")) if path.parent.is_dir() else []
    return f" (beside it: {', '.join(others[:5])})" if others else ""


def _read_prompts(key: str, where: str, rows: Rows, config: DictConfig, split: Split, report: Report) -> None:
    prompt_key = str(config.data.prompt_key)
    if prompt_key not in rows.names:
        report.add(key, f"{where} has no column {prompt_key}; name the column of prompts by data.prompt_key")
        return
    first = rows.first.slice(0, max(0, FIRST_ROWS - len(split.prompts)))
    for row, messages in _text_rows(first, prompt_key, _media(config)):
        is_chat = isinstance(messages, list) and messages and all(_is_message(message) for message in messages)
        if not is_chat:
            report.add(
                key,
                f"{where}: row {row} (from 0) has {prompt_key}={messages!r:.60}; it must be a list of messages, e.g. "
                '[{"role": "user", "content": "What is 2 + 3?"}]',
            )
            return
        split.prompts.append((row_text(where, row), messages))


def row_text(where: str, row: int) -> str:
    """What names a row of a file."""
    return f"{where}: row {row} (from 0)"


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and bool(message.get("role")) and "content" in message


def _text_rows(table: pa.Table, prompt_key: str, media: list[str]) -> Iterator[tuple[int, Any]]:
    given = [name for name in media if name in table.column_names]
    for row, values in enumerate(table.to_pylist()):
        if not any(values[name] for name in given):
            yield row, values[prompt_key]
