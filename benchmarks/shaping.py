"""How long shaping a batch takes on one core, with LASER-D and its target lengths: `python benchmarks/shaping.py`.

Every size is timed on random groups of 8 in shuffled rows: observing (all groups are in the window, targets are chosen
anew) and shaping; then with the checks and the grouping of `Rollouts.build` too, from integer ids, and from texts like
verl's `uid` (one object per prompt, or one per row, as a file of rollouts gives them). Pinned to one core; the smallest
processor time of several repeats counts. Prints a table with the ratio of 10^6 to 10^5 responses: 10 is linear.
`--responses` takes other numbers in the place of 10^6 and of its tenth.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np

from laser_verl.core import Context, Rollouts, build

GROUP_SIZE = 8
LONGEST = 16384
RESPONSES = 10**6


def columns(size: int, seed: int) -> dict[str, np.ndarray]:
    """Draw a batch of shuffled rows.

    Args:
        size: Responses, a multiple of 8.
        seed: Of the draw.

    Returns:
        The arguments of `Rollouts.build`.
    """
    draw = np.random.default_rng(seed)
    prompt = draw.permutation(np.repeat(np.arange(size // GROUP_SIZE), GROUP_SIZE))
    pass_rate = draw.random(size // GROUP_SIZE)
    return {
        "prompt": prompt,
        "response_length": draw.integers(0, LONGEST + 1, size),
        "correct": draw.random(size) < pass_rate[prompt],
        "well_formed": draw.random(size) < 0.95,
    }


def shape(rollouts: Rollouts) -> None:
    """Observe and shape one batch with a new LASER-D whose window holds all of it."""
    method = build("laser_d", {"window": max(rollouts.num_groups, 1)}, Context(GROUP_SIZE, LONGEST))
    method.observe(rollouts)
    assert np.isfinite(method.shape(rollouts).reward).all()


def seconds(task: Callable[[], None], repeats: int) -> float:
    """Time a task in processor seconds; the smallest of `repeats` runs counts."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        task()
        times.append(time.process_time() - start)
    return min(times)


def measure(size: int, repeats: int) -> dict[str, float]:
    """Time one size.

    Args:
        size: Responses.
        repeats: Runs of each task.

    Returns:
        Seconds by task.
    """
    given = columns(size, seed=1)
    names = np.array([f"uid-{number:08d}" for number in range(size // GROUP_SIZE)], dtype=object)
    text = {**given, "prompt": names[given["prompt"]]}
    copied = {**given, "prompt": [f"uid-{number:08d}" for number in given["prompt"]]}

    def fresh() -> Rollouts:
        # A new batch each time, so that sums cached by an earlier repeat do not help.
        return Rollouts.build(**given).select(np.ones(size, dtype=bool))

    batches = iter([fresh() for _ in range(repeats)])
    return {
        "observe and shape": seconds(lambda: shape(next(batches)), repeats),
        "build, observe and shape": seconds(lambda: shape(Rollouts.build(**given)), repeats),
        "same, text ids": seconds(lambda: shape(Rollouts.build(**text)), repeats),
        "same, a text per row": seconds(lambda: shape(Rollouts.build(**copied)), repeats),
    }


def whole_number(text: str) -> int:
    """Read an argument: 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of 1 or more; give e.g. 5")
    return int(text)


def number_of_responses(text: str) -> int:
    """Read an argument: whole groups, and whole groups in a tenth of it too."""
    if not text.isdecimal() or int(text) < 1 or int(text) % (10 * GROUP_SIZE):
        raise argparse.ArgumentTypeError(
            f"{text!r} must be a multiple of {10 * GROUP_SIZE}, so that a tenth of it is whole groups of {GROUP_SIZE}; "
            "give e.g. 100000"
        )
    return int(text)


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Make a parser with the arguments that the timings share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=whole_number, default=5, help="runs of each task (default 5)")
    parser.add_argument(
        "--responses",
        type=number_of_responses,
        default=RESPONSES,
        help=f"size of the larger batch, a multiple of {10 * GROUP_SIZE} (default 1000000); the smaller is a tenth",
    )
    return parser


def main() -> None:
    """Print the table."""
    arguments = parser_of(__doc__).parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sizes = (arguments.responses // 10, arguments.responses)
    small, large = (measure(size, arguments.repeats) for size in sizes)
    headings = [f"{size:,} [s]" for size in sizes]
    print(f"{'LASER-D, targets included':<28}{headings[0]:>14}{headings[1]:>14}{'ratio':>8}")
    for task in small:
        print(f"{task:<28}{small[task]:>14.4f}{large[task]:>14.4f}{large[task] / small[task]:>8.1f}")


if __name__ == "__main__":
    main()
