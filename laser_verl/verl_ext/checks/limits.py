"""Limits on the length of rollouts: does anything keep the run from following them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig, ListConfig, OmegaConf

from laser_verl.core.mixed import limits_rollouts
from laser_verl.verl_ext.agent_loops import LIMITED, SEEDED, say_unlimited, why_unlimited
from laser_verl.verl_ext.checks.report import Report
from laser_verl.verl_ext.checks.tables import read_rows
from laser_verl.verl_ext.settings import Settings

_AGENT = "agent_name"
_FILES = "data.train_files"


def check_limits(config: DictConfig, settings: Settings, report: Report) -> None:
    """Note what keeps rollouts from following a method's limits; it still judges them by their length.

    Args:
        config: The composed config.
        settings: Ours.
        report: Takes the notes.
    """
    with contextlib.suppress(ValueError):  # a wrong option is reported already
        # seeded rollouts follow the limits, and what keeps them from being seeded is a mistake
        if settings.plugin.seeded_rollout or not limits_rollouts(settings.build_method()):
            return
        reasons = list(_reasons(config, is_ours=report.active.get("shaped_on") != "reward worker"))
        report.notes += [say_unlimited(settings.method, reason) for reason in reasons]


def _reasons(config: DictConfig, is_ours: bool) -> Iterator[str]:
    if not is_ours:
        yield "laser.auto_mode=false leaves the stock trainer in place, which hands out no limit; leave it out"
        return
    if reason := why_unlimited(config):
        yield reason
        return
    if OmegaConf.select(config, "data.custom_cls.path"):
        return
    files = OmegaConf.select(config, _FILES)
    for file in files if isinstance(files, ListConfig) else [files]:
        if strange := sorted(_agents(Path(str(file)).expanduser()) - {LIMITED, SEEDED}):
            yield (
                f"{_FILES}={file} has a column {_AGENT} with {', '.join(strange)}, which takes the place of our agent "
                f"loop; leave the column out, or write {LIMITED} there"
            )


def _agents(path: Path) -> set[str]:
    """The agent loops that the rows of a file name; none of a file that cannot be read, which is reported already."""
    try:
        if path.suffix != ".parquet":
            table = read_rows(path, "", ()).every
        else:
            with pq.ParquetFile(path, memory_map=True) as file:
                table = file.read(columns=[name for name in file.schema_arrow.names if name == _AGENT])
    except (pa.ArrowException, ValueError, OSError):
        return set()
    return set(map(str, table[_AGENT].unique().to_pylist())) if _AGENT in table.column_names else set()
