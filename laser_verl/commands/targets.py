"""`laser-verl targets`: the target length of each difficulty band, chosen from recorded rollouts."""

from __future__ import annotations

from laser_verl.commands import WrongUsage, message_of
from laser_verl.commands.records import merge, read_records
from laser_verl.core.bands import Rounding
from laser_verl.core.target_lengths import Summary, summarise, target_grid


def run(source: str, lower: int, upper: int, interval: int, rounding: Rounding) -> Summary:
    """Choose target lengths from all batches of a recording together; `rollout.n` is its largest group.

    A prompt that returns on a later line is another group: it was sampled from another policy.

    Args:
        source: File, folder of rollout dumps, or `-`; see `read_records`.
        lower: Smallest target length, tokens, 1 or more.
        upper: Largest target length, tokens, `lower` or more; also what a band without prompts gets.
        interval: Tokens from one candidate to the next, 1 or more.
        rounding: `ceil` (paper) or `floor` (released code) for the least number of solved responses of a band.

    Returns:
        `target_length`, `num_prompts` and `coverage` per candidate, for each band.

    Raises:
        WrongUsage: If the bounds or the interval make no grid.
        BadInput: If a line is malformed or there is none.
    """
    try:
        target_grid(lower, upper, interval)
    except ValueError as error:
        raise WrongUsage(f"--lower, --upper, --interval: {message_of(error)}") from error
    return summarise(merge(read_records(source)), lower, upper, interval, rounding)
