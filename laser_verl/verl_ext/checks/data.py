"""The data files: are they there, has every row a gold answer, and is there someone to score it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from omegaconf import DictConfig, ListConfig, OmegaConf

from laser_verl.verl_ext.checks.functions import check_object
from laser_verl.verl_ext.checks.report import Report
from laser_verl.verl_ext.checks.scoring import Golds
from laser_verl.verl_ext.checks.tables import FIRST_ROWS, Rows, read_rows

_CODE_SOURCES = ("codecontests", "apps", "codeforces", "taco")
_SEARCH_PREFIX = "searchR1_"


@dataclass(frozen=True)
class Readers:
    """Who reads a row besides the model."""

    golds: Golds

    is_ours: bool
    """Our scorer scores it."""

    is_seeded: bool
    """Our agent loop seeds its rollouts."""


@dataclass
class Split:
    """What one split holds, as far as the checks look."""

    num_rows: int = 0
    sources: set[str] = field(default_factory=set)
    prompts: list[tuple[str, Any]] = field(default_factory=list)
    """(where, messages) of the first rows without images and the like."""


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
            with report.guard(key):
                is_complete &= _check_file(key, file, config, split, readers, report)
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


def _check_file(key: str, file: Any, config: DictConfig, split: Split, readers: Readers, report: Report) -> bool:
    """Read one file into the split; False where it could not be read to the end."""
    if file is None:
        report.add(key, f"{key} is not set; give a parquet file with the columns prompt, data_source and reward_model")
        return False
    if "://" in str(file):
        report.notes.append(f"{key}={file} is not on this machine; it was not checked")
        return False
    rows = _read(key, Path(str(file)).expanduser(), config, report)
    if rows is None:
        return False
    split.num_rows += rows.num_rows
    where = f"{key}: {file}"
    split.sources |= _sources(rows)
    if readers.golds is not Golds.UNREAD:
        for problem in (_gold_problem(where, rows, readers.is_ours), _source_problem(where, rows)):
            if problem:
                _say(key, problem, readers, report)
    if readers.is_seeded and "agent_name" in rows.names:
        report.add(
            key,
            f"{where} has a column agent_name, which takes the place of the seeded agent loop; leave it out",
        )
    _read_prompts(key, where, rows, config, split, report)
    return True


def _read(key: str, path: Path, config: DictConfig, report: Report) -> Rows | None:
    if not path.is_file():
        report.add(key, f"{key}={path} is no file{_beside(path)}; give a parquet file")
        return None
    if path.suffix not in (".parquet", ".json", ".jsonl"):
        report.add(key, f"{key}={path} must end in .parquet, .json or .jsonl; verl reads nothing else")
        return None
    try:
        return read_rows(path, str(config.data.prompt_key), _media(config))
    except (pa.ArrowException, ValueError, OSError) as error:
        report.add(key, f"{key}={path} is not a readable {path.suffix[1:]} file ({error}); write it again, as parquet")
        return None


def _media(config: DictConfig) -> list[str]:
    return [str(config.data.get(f"{kind}_key", f"{kind}s")) for kind in ("image", "video", "audio")]


def _beside(path: Path) -> str:
    others = sorted(other.name for other in path.parent.glob("*.parquet")) if path.parent.is_dir() else []
    return f" (beside it: {', '.join(others[:5])})" if others else ""


def _say(key: str, problem: str, readers: Readers, report: Report) -> None:
    if readers.golds is Golds.PERHAPS:
        report.notes.append(f"{problem}; no matter if the agent loop sets every score itself")
    else:
        report.add(key, problem)


def _gold_problem(where: str, rows: Rows, is_ours: bool) -> str | None:
    remedy = "give every row a gold answer as reward_model.ground_truth"
    if "reward_model" not in rows.names:
        return f"{where} has no column reward_model; {remedy}"
    column = rows.every["reward_model"]
    if not pa.types.is_struct(column.type) or column.type.get_field_index("ground_truth") < 0:
        return f"{where}: the column reward_model has no ground_truth (it is {column.type}); {remedy}"
    golds = pc.struct_field(column, "ground_truth")
    missing = _is_missing(golds)
    count = pc.sum(missing).as_py() or 0
    if count:
        row = pc.index(missing, True).as_py()
        more = f" ({count} such rows)" if count > 1 else ""
        return f"{where}: row {row} (from 0) has no reward_model.ground_truth{more}; {remedy}"
    if is_ours and pa.types.is_struct(golds.type):
        return (
            f"{where}: reward_model.ground_truth is a mapping; laser_verl's scorer takes a text, a number or a list of "
            "these: write the answer alone, or score with reward.custom_reward_function.path"
        )
    return None


def _is_missing(golds: pa.ChunkedArray) -> pa.ChunkedArray:
    missing = pc.is_null(golds)
    if pa.types.is_string(golds.type) or pa.types.is_large_string(golds.type):
        missing = pc.or_(missing, pc.fill_null(pc.equal(pc.utf8_trim_whitespace(golds), ""), True))
    elif pa.types.is_list(golds.type):
        missing = pc.or_(missing, pc.fill_null(pc.equal(pc.list_value_length(golds), 0), True))
    return missing


def _source_problem(where: str, rows: Rows) -> str | None:
    remedy = "give every row the name of its data set"
    if "data_source" not in rows.names:
        return f"{where} has no column data_source; {remedy}"
    missing = pc.is_null(rows.every["data_source"])
    if not pc.any(missing).as_py():
        return None
    return f"{where}: row {pc.index(missing, True).as_py()} (from 0) has no data_source; {remedy}"


def _sources(rows: Rows) -> set[str]:
    if "data_source" not in rows.names:
        return set()
    return {str(source) for source in pc.unique(rows.every["data_source"]).to_pylist() if source is not None}


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
        split.prompts.append((f"{where}: row {row} (from 0)", messages))


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and bool(message.get("role")) and "content" in message


def _text_rows(table: pa.Table, prompt_key: str, media: list[str]) -> Iterator[tuple[int, Any]]:
    given = [name for name in media if name in table.column_names]
    for row, values in enumerate(table.to_pylist()):
        if not any(values[name] for name in given):
            yield row, values[prompt_key]
