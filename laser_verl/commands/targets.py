"""`laser-verl targets`: the target length of each difficulty band, chosen from recorded rollouts."""

from __future__ import annotations

from pathlib import Path

from laser_verl.commands import WrongUsage, message_of
from laser_verl.commands.records import merge, read_records
from laser_verl.commands.rows import STANDARD_INPUT
from laser_verl.core.bands import Rounding
from laser_verl.core.target_lengths import Summary, summarise, target_grid

MONITOR_FOLDER = "monitor"
"""Where a folder of rollout dumps has those of the passes over the monitor set, `N.jsonl` of the pass before step N."""


class Pass(Summary):
    """What one pass over the monitor set gives; `step` is the number of its file."""

    step: int


class Both(Summary):
    """What all batches together give, and beside it the last pass over the monitor set."""

    monitor: Pass


def run(source: str, lower: int, upper: int, interval: int, rounding: Rounding) -> Summary | Both:
    """Choose target lengths from all batches of a recording together; `rollout.n` is its largest group.

    A prompt that returns on a later line is another group: it was sampled from another policy.

    Args:
        source: File, folder of rollout dumps, or `-`; see `read_records`.
        lower: Smallest target length, tokens, 1 or more.
        upper: Largest target length, tokens, `lower` or more; also what a band without prompts gets.
        interval: Tokens from one candidate to the next, 1 or more.
        rounding: `ceil` (paper) or `floor` (released code) for the least number of solved responses of a band.

    Returns:
        `target_length`, `num_prompts` and `coverage` per candidate, for each band. Where a folder has passes over a
        monitor set in `monitor/`, also `monitor`: its `step`, and the same of the last pass alone.

    Raises:
        WrongUsage: If the bounds or the interval make no grid.
        BadInput: If a line is malformed or there is none.
    """
    try:
        target_grid(lower, upper, interval)
    except ValueError as error:
        raise WrongUsage(f"--lower, --upper, --interval: {message_of(error)}") from error
    bounds = (lower, upper, interval, rounding)
    found = summarise(merge(read_records(source)), *bounds)
    last = _last_pass(source)
    if last is None:
        return found
    monitored = summarise(merge(read_records(str(last))), *bounds)
    return Both(**found, monitor=Pass(step=int(last.stem), **monitored))


def _last_pass(source: str) -> Path | None:
    """The dump of the last pass over the monitor set; None where there is none."""
    if source == STANDARD_INPUT:
        return None
    dumps = (Path(source) / MONITOR_FOLDER).glob("*.jsonl")
    passes = [dump for dump in dumps if dump.stem.isascii() and dump.stem.isdigit()]
    return max(passes, key=lambda dump: int(dump.stem), default=None)
