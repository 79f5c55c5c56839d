"""Sampler, tracker and monitor set: can they work with these data, before a model loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset
from datasets.table import InMemoryTable
from omegaconf import DictConfig, ListConfig

from laser_verl.core.monitor import Monitoring
from laser_verl.core.prompt_index import Keys
from laser_verl.verl_ext.checks.data import Split
from laser_verl.verl_ext.checks.report import Report
from laser_verl.verl_ext.checks.tables import read_json
from laser_verl.verl_ext.difficulty import Difficulty
from laser_verl.verl_ext.monitor import Monitor
from laser_verl.verl_ext.prompt_rows import KeyedRows
from laser_verl.verl_ext.refusals import refuse_filtered_groups, refuse_workers
from laser_verl.verl_ext.sampler import verl_order
from laser_verl.verl_ext.sampler_settings import SamplerSettings, TrackerSettings, sampler_in_force
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
    is_tracked = str(report.active.get("trainer")).startswith("laser_")
    if sampler is not None and is_tracked:
        report.active["sampler"] = {"policy": sampler.policy, "epsilon": sampler.epsilon_in_force(), **sampler.options}
    if not is_tracked:
        if plugin.tracker != TrackerSettings():
            report.notes.append("laser.tracker does nothing here, since a stock trainer takes the run")
        return
    if "train" not in splits or report.names("data.train_batch_size") or report.names(_FILES):
        if sampler is not None or monitoring is not None:
            report.notes.append(f"sampler and monitor set were not tried on {_FILES}, which could not be read as it is")
        return
    files = config.data.train_files
    if media := _media(files, config.data):
        report.notes.append(f"{_FILES} has {media}: its prompts are told apart in the run, and were not tried here")
        return
    rows = _rows(files, config, plugin, sampler)
    excluded = np.zeros(0, dtype=np.uint64)
    if monitoring is not None:
        monitor = _check_monitor(monitoring, rows, config, plugin, report)
        excluded = excluded if monitor is None else monitor.excluded()
    if sampler is None:
        _check_repeated(rows, report)
    else:
        _start(sampler, rows, excluded, config, plugin, report)


def _start(
    sampler: SamplerSettings, rows: KeyedRows, excluded: Keys, config: DictConfig, plugin: Plugin, report: Report
) -> None:
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
            rows = _rows(monitoring.file, config, plugin, None)
            rows.keys()
        return Monitor(monitoring, rows, plugin.seed)
    except (ValueError, KeyError, pa.ArrowException, OSError) as error:
        file = "" if monitoring.file is None else f"{_MONITOR}.file={monitoring.file} must be a data file like "
        remedy = f"those of {_FILES}, with the column {config.data.prompt_key}: " if file else ""
        report.add(_MONITOR, f"{file}{remedy}{error}")
        return None


def _rows(files: Any, config: DictConfig, plugin: Plugin, sampler: SamplerSettings | None) -> KeyedRows:
    """Rows of data files, cut as verl cuts them (the first ones, where verl may draw)."""
    read = sampler.build_policy().column_names if sampler is not None else ()
    named = [name for name in (plugin.tracker.key, *read) if name is not None]
    table = _read(files, ["data_source", config.data.prompt_key, "reward_model", "extra_info", *named])
    if config.data.prompt_key not in table.column_names:
        raise ValueError(f"it has the columns {', '.join(table.column_names) or 'of another kind of file'}")
    most = config.data.get("train_max_samples") or -1
    return KeyedRows(_Table(table if most < 1 else table.slice(0, most)), config.data, plugin.tracker.key)


def _read(files: Any, wanted: Sequence[str]) -> pa.Table:
    tables = []
    for name in files if isinstance(files, list | ListConfig) else [files]:
        path = Path(str(name)).expanduser()
        if path.suffix == ".parquet":
            known = pq.read_schema(path).names
            tables.append(pq.read_table(path, columns=[name for name in dict.fromkeys(wanted) if name in known]))
        else:
            tables.append(read_json(path))
    return pa.concat_tables(tables, promote_options="permissive")
