"""Sampler, tracker and monitor set: can they work with these data, before a model loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset
from datasets.table import InMemoryTable
from omegaconf import DictConfig, ListConfig

from laser_verl.core.monitor import Monitoring
from laser_verl.verl_ext.checks.data import Split
from laser_verl.verl_ext.checks.report import Report
from laser_verl.verl_ext.checks.tables import read_json
from laser_verl.verl_ext.difficulty import Difficulty
from laser_verl.verl_ext.monitor import Monitor
from laser_verl.verl_ext.prompt_rows import KeyedRows
from laser_verl.verl_ext.refusals import refuse_filtered_groups, refuse_workers
from laser_verl.verl_ext.sampler import verl_order
from laser_verl.verl_ext.sampler_settings import sampler_in_force
from laser_verl.verl_ext.settings import Plugin

# reading the prompts of more takes longer than a check should
_MOST_ROWS = 10**6

_FILES, _MONITOR = "data.train_files", "reward.reward_kwargs.monitor"


class _Table:
    """Rows of data files, as far as keys and policies look at them."""

    def __init__(self, table: pa.Table) -> None:
        self.dataframe = Dataset(InMemoryTable(table))

    def __len__(self) -> int:
        return len(self.dataframe)


def check_sampler(
    config: DictConfig, plugin: Plugin, monitoring: Monitoring | None, splits: Mapping[str, Split], report: Report
) -> None:
    """Draw the monitor set and start the sampler, as the run would.

    Args:
        config: The composed config.
        plugin: Our keys in it.
        monitoring: What the method monitors, None for nothing.
        splits: What the data hold.
        report: Takes mistakes, notes and what is active.
    """
    sampler = sampler_in_force(plugin, monitoring, config)
    with report.refusals():
        refuse_workers(config, sampler)
    with report.refusals():
        refuse_filtered_groups(config, sampler)
    if sampler is not None:
        report.active["sampler"] = {"policy": sampler.policy, "epsilon": sampler.epsilon_in_force(), **sampler.options}
    is_tracked = str(report.active.get("trainer")).startswith("laser_")
    if not is_tracked and monitoring is None and plugin.tracker.key is None:
        return
    if "train" not in splits or report.names("data.train_batch_size") or report.names(_FILES):
        if sampler is not None or monitoring is not None:
            report.notes.append(f"sampler and monitor set were not tried on {_FILES}, which could not be read as it is")
        return
    files = config.data.train_files
    if media := _media(files, config.data):
        report.notes.append(f"{_FILES} has {media}: its prompts are told apart in the run, and were not tried here")
        return
    rows = KeyedRows(_Table(_read(files, config.data.prompt_key)), config.data, plugin.tracker.key)
    excluded = np.zeros(0, dtype=np.uint64)
    if monitoring is not None:
        monitor = _check_monitor(monitoring, rows, config, plugin, report)
        excluded = excluded if monitor is None else monitor.excluded()
    if sampler is None:
        _check_repeated(rows, report)
        return
    difficulty = Difficulty(plugin.tracker, sampler)
    try:
        difficulty.start(
            rows, excluded, int(config.data.train_batch_size), plugin.seed, lambda size: verl_order(size, config.data)
        )
    except ValueError as error:
        report.add("laser.tracker.key" if "laser.tracker.key" in str(error) else "laser.sampler", str(error))
        return
    report.active["sampler"]["prompts"] = difficulty.tracker.size
    if difficulty.repeated:
        report.notes.append(f"{_say_repeated(difficulty.repeated)}; the sampler draws each such prompt as one")


def _media(files: Any, data: DictConfig) -> str:
    """Columns of images and the like, which take long to read."""
    names = {str(data.get(f"{kind}_key", f"{kind}s")) for kind in ("image", "video", "audio")}
    paths = [Path(str(name)).expanduser() for name in (files if isinstance(files, list | ListConfig) else [files])]
    found = {name for path in paths if path.suffix == ".parquet" for name in pq.read_schema(path).names}
    return ", ".join(sorted(names & found))


def _check_repeated(rows: KeyedRows, report: Report) -> None:
    if len(rows) > _MOST_ROWS:
        report.notes.append(f"{_FILES} holds {len(rows)} rows; whether some repeat a prompt was not looked at")
        return
    keys = rows.keys()
    if repeated := len(keys) - len(np.unique(keys)):
        report.notes.append(f"{_say_repeated(repeated)}; the tracker takes them for one prompt")


def _say_repeated(number: int) -> str:
    return f"{number} rows of {_FILES} repeat data source, messages and gold answer of another row"


def _check_monitor(
    monitoring: Monitoring, rows: KeyedRows, config: DictConfig, plugin: Plugin, report: Report
) -> Monitor | None:
    try:
        if monitoring.file is not None:
            if not Path(monitoring.file).expanduser().is_file():
                raise ValueError(f"{_MONITOR}.file={monitoring.file} is no file; give a parquet file, or leave it out")
            rows = KeyedRows(_Table(_read(monitoring.file, config.data.prompt_key)), config.data, plugin.tracker.key)
        return Monitor(monitoring, rows, plugin.seed)
    except (ValueError, pa.ArrowException, OSError) as error:
        report.add(_MONITOR, str(error))
        return None


def _read(files: Any, prompt_key: str) -> pa.Table:
    tables = []
    for name in files if isinstance(files, list | ListConfig) else [files]:
        path = Path(str(name)).expanduser()
        if path.suffix == ".parquet":
            known = pq.read_schema(path).names
            wanted = [name for name in ("data_source", prompt_key, "reward_model", "extra_info") if name in known]
            tables.append(pq.read_table(path, columns=wanted))
        else:
            tables.append(read_json(path))
    return pa.concat_tables(tables, promote_options="permissive")
