"""The data files: are they there, has every row a gold answer, and is there someone to score it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq
from omegaconf import DictConfig, ListConfig, OmegaConf

from laser_verl.verl_ext.checks.functions import check_object
from laser_verl.verl_ext.checks.report import Report

_CODE_SOURCES = ("codecontests", "apps", "codeforces", "taco")
_SEARCH_PREFIX = "searchR1_"

FIRST_ROWS = 64
"""Rows per split whose prompts are read."""


@dataclass
class Split:
    """What one split holds, as far as the checks look."""

    num_rows: int = 0
    sources: set[str] = field(default_factory=set)
    prompts: list[tuple[str, Any]] = field(default_factory=list)
    """(where, messages) of the first rows without images and the like."""


def check_data(config: DictConfig, is_ours: bool, is_seeded: bool, report: Report) -> dict[str, Split]:
    """Read the data's columns and first rows.

    Args:
        config: The composed config.
        is_ours: Whether our scorer has to score the rows.
        is_seeded: Whether rollouts are seeded by our agent loop.
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
            with report.guard(key):
                is_complete &= _check_file(key, file, config, split, is_ours, is_seeded, report)
        if is_complete and not report.names(key):
            splits[name] = split
            _limit(config, name, split)
            if not split.num_rows:
                report.add(key, f"{key}={files} holds no rows; give a file with at least one")
    report.active["data"] = {
        name: {"rows": split.num_rows, "data_sources": sorted(split.sources)} for name, split in splits.items()
    }
    return splits


def check_sources(splits: dict[str, Split], report: Report) -> None:
    """Refuse sources whose answers need a program run or a search: our scorer compares mathematical answers.

    Args:
        splits: What `check_data` returned.
        report: Takes the mistakes.
    """
    for name, split in splits.items():
        wrong = [source for source in sorted(split.sources) if is_run_or_searched(source)]
        if wrong:
            report.add(
                f"data.{name}_files",
                f"data.{name}_files has data_source={', '.join(wrong)}, which is scored by running code or by search; "
                "laser_verl's scorer compares mathematical answers: leave these rows out, or score them with "
                "reward.custom_reward_function.path",
            )


def is_run_or_searched(source: str) -> bool:
    """Whether verl scores a source by running the answer as a program, or against search results."""
    return source in _CODE_SOURCES or source.startswith(_SEARCH_PREFIX)


def _limit(config: DictConfig, name: str, split: Split) -> None:
    most = config.data.get(f"{name}_max_samples")
    if isinstance(most, int) and 0 < most < split.num_rows:
        split.num_rows = most


def _check_file(
    key: str, file: Any, config: DictConfig, split: Split, is_ours: bool, is_seeded: bool, report: Report
) -> bool:
    """Read one file into the split; False where it could not be read to the end."""
    if file is None:
        report.add(key, f"{key} is not set; give a parquet file with the columns prompt, data_source and reward_model")
        return False
    if "://" in str(file):
        report.notes.append(f"{key}={file} is not on this machine; it was not checked")
        return False
    table = _read(key, Path(str(file)).expanduser(), str(config.data.prompt_key), report)
    if table is None:
        return False
    split.num_rows += len(table)
    where = f"{key}: {file}"
    _check_golds(key, where, table, is_ours, report)
    _check_source_column(key, where, table, split, report)
    if is_seeded and "agent_name" in table.column_names:
        report.add(
            key,
            f"{where} has a column agent_name, which takes the place of the seeded agent loop; leave it out",
        )
    _read_prompts(key, where, table, str(config.data.prompt_key), split, report)
    return True


def _read(key: str, path: Path, prompt_key: str, report: Report) -> pa.Table | None:
    if not path.is_file():
        report.add(key, f"{key}={path} is no file{_beside(path)}; give a parquet file")
        return None
    try:
        if path.suffix in (".json", ".jsonl"):
            return pj.read_json(path)
        if path.suffix != ".parquet":
            report.add(key, f"{key}={path} must end in .parquet, .json or .jsonl; verl reads nothing else")
            return None
        parquet = pq.ParquetFile(path)
        wanted = {prompt_key, "data_source", "reward_model", "agent_name", "images", "videos", "audios"}
        return parquet.read(columns=[name for name in parquet.schema_arrow.names if name in wanted])
    except (pa.ArrowException, OSError) as error:
        report.add(key, f"{key}={path} is not a readable {path.suffix[1:]} file ({error}); write it again, as parquet")
        return None


def _beside(path: Path) -> str:
    others = sorted(other.name for other in path.parent.glob("*.parquet")) if path.parent.is_dir() else []
    return f" (beside it: {', '.join(others[:5])})" if others else ""


def _check_golds(key: str, where: str, table: pa.Table, is_ours: bool, report: Report) -> None:
    remedy = "give every row a gold answer as reward_model.ground_truth"
    if "reward_model" not in table.column_names:
        report.add(key, f"{where} has no column reward_model; {remedy}")
        return
    column = table["reward_model"]
    if not pa.types.is_struct(column.type) or column.type.get_field_index("ground_truth") < 0:
        report.add(key, f"{where}: the column reward_model has no ground_truth (it is {column.type}); {remedy}")
        return
    golds = pc.struct_field(column, "ground_truth")
    missing = _is_missing(golds)
    count = pc.sum(missing).as_py() or 0
    if count:
        row = pc.index(missing, True).as_py()
        more = f" ({count} such rows)" if count > 1 else ""
        report.add(key, f"{where}: row {row} (from 0) has no reward_model.ground_truth{more}; {remedy}")
    elif is_ours and pa.types.is_struct(golds.type):
        report.add(
            key,
            f"{where}: reward_model.ground_truth is a mapping; laser_verl's scorer takes a text, a number or a list of "
            "these: write the answer alone, or score with reward.custom_reward_function.path",
        )


def _is_missing(golds: pa.ChunkedArray) -> pa.ChunkedArray:
    missing = pc.is_null(golds)
    if pa.types.is_string(golds.type) or pa.types.is_large_string(golds.type):
        missing = pc.or_(missing, pc.fill_null(pc.equal(pc.utf8_trim_whitespace(golds), ""), True))
    elif pa.types.is_list(golds.type):
        missing = pc.or_(missing, pc.fill_null(pc.equal(pc.list_value_length(golds), 0), True))
    return missing


def _check_source_column(key: str, where: str, table: pa.Table, split: Split, report: Report) -> None:
    if "data_source" not in table.column_names:
        report.add(key, f"{where} has no column data_source; give every row the name of its data set")
        return
    missing = pc.is_null(table["data_source"])
    if pc.any(missing).as_py():
        row = pc.index(missing, True).as_py()
        report.add(key, f"{where}: row {row} (from 0) has no data_source; give every row the name of its data set")
    split.sources |= {str(source) for source in pc.unique(table["data_source"]).to_pylist() if source is not None}


def _read_prompts(key: str, where: str, table: pa.Table, prompt_key: str, split: Split, report: Report) -> None:
    if prompt_key not in table.column_names:
        report.add(key, f"{where} has no column {prompt_key}; name the column of prompts by data.prompt_key")
        return
    for row, messages in _text_rows(table.slice(0, max(0, FIRST_ROWS - len(split.prompts))), prompt_key):
        is_chat = isinstance(messages, list) and messages and all(_is_message(message) for message in messages)
        if not is_chat:
            report.add(
                key,
                f"{where}: row {row} (from 0) has {prompt_key}={messages!r:.60}; it must be a list of messages, e.g. "
                '[{"role": "user", "content": "What is 2 + 3?"}]',
            )
            return
        split.prompts.append((f"{where}: row {row} (from 0)", messages))


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and bool(message.get("role")) and "content" in message


def _text_rows(table: pa.Table, prompt_key: str) -> Iterator[tuple[int, Any]]:
    media = [name for name in ("images", "videos", "audios") if name in table.column_names]
    for row, values in enumerate(table.to_pylist()):
        if not any(values[name] for name in media):
            yield row, values[prompt_key]
