"""What tracker and sampling policies cost on pools of 10^4 to 10^7 prompts: `python benchmarks/tracker.py`.

Every prompt was seen once, 8 responses each with random outcomes. Then each policy draws 1,024 prompts a step, 21
times, through the sampler with its exploring share; the batch of the step before is under way meanwhile, and observed
afterwards in groups of 8. Processor time on one core; medians, and of draws the longest too: the first of a round, for
which all prompts are permuted. `laser_state` is saved to and loaded from a temporary folder three times, with a policy
that takes long to start. Bytes are what tracemalloc counts, arrays of numpy included; the pool keeps the column that a
policy reads.

Then, on 10^5 prompts, `band_mix` beside a pool in plain Python in the manner of prime-rl's difficulty pools. `--sizes`
takes other pools, `--picture` draws the numbers. Takes about four minutes.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table
from shaping import GROUP_SIZE

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs" / "figures"))
sys.path.insert(0, str(Path(__file__).resolve().parent / "data"))

from plain_pool import PlainPool
from tracker_scale import BYTES, DRAW, FILE, LEARN, OBSERVE, PEAK, Measured, draw, table_of, written

from laser_verl.core.policies.base import Pool, build_policy, policy_names
from laser_verl.core.prompt_index import PromptIndex, key_texts
from laser_verl.core.rollouts import Rollouts
from laser_verl.core.sampler import Sampler
from laser_verl.core.state import NAME, load_state, save_state
from laser_verl.core.tracker import DifficultyTracker
from laser_verl.verl_ext.difficulty import Difficulty
from laser_verl.verl_ext.sampler_settings import SamplerSettings, TrackerSettings

SIZES = (10**4, 10**5, 10**6, 10**7)
BATCH, STEPS, REPEATS, SEED = 1024, 21, 3, 1
SAVED, BESIDE_PLAIN, PLAIN_SIZE = "adarft (labels)", "band_mix", 10**5
LEVELS = {"easy": 0.25, "medium": 0.5, "hard": 0.25}
STAGES = {"first": {"high": 0.6, "steps": 8}, "second": {"low": 0.4}}

_T = TypeVar("_T")


@dataclass(frozen=True)
class Case:
    """A policy with options, and how its draws grow: N prompts drawn, P in the pool, K categories."""

    grows: str
    policy: str
    options: Mapping[str, Any] = field(default_factory=dict)


CASES = {
    "uniform": Case("N", "uniform"),
    "sequential": Case("N", "sequential"),
    "column_mix": Case("N", "column_mix", {"column": "level", "shares": LEVELS}),
    "curriculum": Case("N, P at a stage", "curriculum", {"column": "difficulty", "stages": STAGES}),
    "greso": Case("64 N log N", "greso"),
    "skip_solved": Case("64 N log N", "skip_solved"),
    "mopps": Case("16 N log N", "mopps"),
    "sec": Case("N log N + K", "sec"),
    "adarft (labels)": Case("N log N + log P", "adarft", {"column": "difficulty", "high": 1.0, "eta": 0.5}),
    "adarft (tracked)": Case("N + P / 135", "adarft"),
    **{name: Case("N + P / 135", name) for name in ("band_mix", "dots", "max_entropy", "prioritised")},
}
# Of draws: beside what the case says, the first one of a round takes P, but under `sequential`.
GROWS = {
    DRAW: {name: case.grows for name, case in CASES.items()},
    OBSERVE: {"observe": "N log P"},
    LEARN: dict.fromkeys(CASES, "N"),
    FILE: {"save": "P", "load": "P log P"},
}


class Data:
    """Rows of a data set, a prompt each, and a model that solves each prompt at a rate of its own."""

    column = None

    def __init__(self, size: int) -> None:
        self.size = size
        self._rng = rng = np.random.default_rng(SEED)
        self._keys = rng.integers(0, 2**64, size, dtype=np.uint64)
        self._rate = rng.random(size, dtype=np.float32)
        self._columns: dict[str, np.ndarray] = {"difficulty": rng.random(size)}
        for name, texts in (("level", list(LEVELS)), ("data_source", [f"source {number}" for number in range(8)])):
            self._columns[name] = np.array(texts, dtype=object)[rng.integers(len(texts), size=size)]

    def keys(self) -> np.ndarray:
        """The key of every row."""
        return self._keys

    def columns(self, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Columns of all rows, by name."""
        return {name: self._columns[name] for name in names}

    def seen_once(self) -> dict[str, Any]:
        """The state of a tracker after one group of each prompt."""
        solved = self._rng.binomial(GROUP_SIZE, self._rate)
        fields = {
            **{"drawn": 1, "responses": GROUP_SIZE, "solved": solved},
            **{"weight": GROUP_SIZE, "weighted_solved": solved, "last_step": 0},
            **{"correct_length": np.where(solved, 2000, 0), "shortest": np.where(solved, 1000, np.inf)},
            **{"solved_streak": solved == GROUP_SIZE, "failed_streak": solved == 0},
        }
        empty = DifficultyTracker().state_dict()
        arrays = {name: np.full(self.size, values, dtype=empty[name].dtype) for name, values in fields.items()}
        return {**empty, "keys": self._keys, **arrays}

    def answers(self, places: np.ndarray, step: int) -> Rollouts:
        """A group of answers to each of some prompts."""
        rows = np.repeat(places, GROUP_SIZE)
        lengths, correct = self._rng.integers(100, 8192, len(rows)), self._rng.random(len(rows)) < self._rate[rows]
        return Rollouts.build(rows, lengths, correct, step=step, prompt_key=key_texts(self._keys[rows]))


def timed(times: list[float], task: Callable[[], _T]) -> _T:
    """Run a task, and note its milliseconds of processor time."""
    begun = time.process_time()
    made = task()
    times.append(1e3 * (time.process_time() - begun))
    return made


def allocated(task: Callable[[], _T]) -> tuple[_T, int]:
    """Run a task; also returns the bytes that it left allocated."""
    tracemalloc.start()
    made = task()
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return made, left


def started(case: Case, tracker: DifficultyTracker, data: Data) -> Sampler:
    """The sampler of a policy."""
    policy = build_policy(case.policy, case.options)
    return Sampler(policy, Pool(tracker, data.size, data.columns(policy.column_names), BATCH, SEED))


def time_policy(sampler: Sampler, tracker: DifficultyTracker, data: Data) -> dict[str, list[float]]:
    """Draw and observe; milliseconds by heading."""
    times: dict[str, list[float]] = {DRAW: [], OBSERVE: [], LEARN: []}
    under_way: Rollouts | None = None
    for step in range(1, STEPS + 1):
        places = timed(times[DRAW], lambda: sampler.draw(BATCH))
        assert len(np.unique(places)) == BATCH
        if under_way is not None:
            outcome = timed(times[OBSERVE], lambda batch=under_way: tracker.observe(batch))
            timed(times[LEARN], lambda outcome=outcome: sampler.observe(outcome))
        under_way = data.answers(places, step)
    return times


def bytes_of_policy(case: Case, tracker: DifficultyTracker, data: Data) -> tuple[float, ...]:
    """Bytes a prompt of policy and exploring share once they have drawn, and of the column that the pool keeps."""

    def begin() -> Sampler:
        sampler = started(case, tracker, data)
        sampler.draw(BATCH)
        sampler.only_in_flight()
        return sampler

    sampler, left = allocated(begin)
    columns = data.columns(sampler.policy.column_names).values()
    return left / data.size, sum(column.nbytes for column in columns) / data.size


def tracker_of(data: Data, known: Mapping[str, Any]) -> tuple[DifficultyTracker, dict[str, tuple[float, ...]]]:
    """A tracker that has gone on from a state, and bytes a prompt of its fields and of its index."""
    tracker, index = DifficultyTracker(), PromptIndex()
    of_both = allocated(lambda: tracker.load_state_dict(known))[1] / data.size
    of_index = allocated(lambda: len(index.add(data.keys())))[1] / data.size
    return tracker, {"tracker": (of_both - of_index, 0.0), "index": (of_index, 0.0)}


def measure_file(case: Case, data: Data, known: Mapping[str, Any]) -> Measured:
    """Save and load what a checkpoint holds of tracker and sampler."""
    difficulty = Difficulty(TrackerSettings(), SamplerSettings(case.policy, options=case.options))
    sampler, _ = difficulty.start(data, np.zeros(0, dtype=np.uint64), BATCH, SEED, lambda _: None)
    difficulty.tracker.load_state_dict(known)
    sampler.restart()
    times: dict[str, list[tuple[float, float]]] = {"save": [], "load": []}
    peaks: dict[str, tuple[float, ...]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        save = lambda: save_state(path, {"method": {"name": "laser_d"}, **difficulty.state_dict()})  # noqa: E731
        load = lambda: difficulty.load_state_dict(load_state(path), None)  # noqa: E731
        for name, task in REPEATS * [("save", save), ("load", load)]:
            begun, spent = time.perf_counter(), time.process_time()
            task()
            times[name].append((time.perf_counter() - begun, time.process_time() - spent))
        assert difficulty.tracker.num_seen == data.size
        tracemalloc.start()
        load()  # from here on all that is held is counted
        for name, task in (("extra while saving", save), ("extra while loading", load)):
            held = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            task()
            peaks[name] = ((tracemalloc.get_traced_memory()[1] - held) / data.size,)
        tracemalloc.stop()
    return {FILE: {name: tuple(map(median, zip(*both, strict=True))) for name, both in times.items()}, PEAK: peaks}


def measure(size: int) -> Measured:
    """All numbers of one size."""
    data = Data(size)
    known = data.seen_once()
    tracker, parts = tracker_of(data, known)
    measured = {OBSERVE: {}, DRAW: {}, LEARN: {}, BYTES: parts}
    observing: list[float] = []
    for name, case in CASES.items():
        own = copy.deepcopy(tracker)
        found = time_policy(started(case, own, data), own, data)
        observing += found[OBSERVE]
        measured[DRAW][name] = (median(found[DRAW]), max(found[DRAW]))
        measured[LEARN][name] = (median(found[LEARN]),)
        parts[name] = bytes_of_policy(case, own, data)
    measured[OBSERVE]["observe"] = (median(observing),)
    return measured | measure_file(CASES[SAVED], data, known)


def beside_plain() -> Table:
    """A pool in plain Python and ours, in one run."""
    data = Data(PLAIN_SIZE)
    known = data.seen_once()
    tracker, parts = tracker_of(data, known)
    case = CASES[BESIDE_PLAIN]
    own_bytes = sum(parts["tracker"] + parts["index"] + bytes_of_policy(case, tracker, data))
    ours = time_policy(started(case, tracker, data), tracker, data)

    def begin() -> PlainPool:
        ids = key_texts(data.keys())
        pool = PlainPool(LEVELS, ids)
        pool.observe(ids, (known["solved"] / GROUP_SIZE).tolist())
        return pool

    pool, plain_bytes = allocated(begin)
    places = {name: place for place, name in enumerate(pool.records)}
    plain: dict[str, list[float]] = {DRAW: [], OBSERVE: []}
    for step in range(1, STEPS + 1):
        drawn = timed(plain[DRAW], lambda: pool.draw(BATCH))
        batch = data.answers(np.array([places[name] for name in drawn]), step)
        ids = [batch.prompt_key[group] for group in batch.group.tolist()]
        rewards = batch.solved.astype(float).tolist()
        timed(plain[OBSERVE], lambda ids=ids, rewards=rewards: pool.observe(ids, rewards))
    observing = [sum(both) for both in zip(ours[OBSERVE], ours[LEARN], strict=True)]
    table = Table(f"{PLAIN_SIZE:,} prompts", "plain Python", BESIDE_PLAIN, "ratio")
    for name, one, other in (
        ("observe, ms", median(plain[OBSERVE]), median(observing)),
        ("draw, ms", median(plain[DRAW]), median(ours[DRAW])),
        ("bytes a prompt", plain_bytes / PLAIN_SIZE, own_bytes),
    ):
        table.add_row(name, *map(written, ((one,), (other,), (one / other,))))
    return table


def sizes_of(text: str) -> list[int]:
    """Read an argument: numbers of prompts, by commas."""
    return sorted(map(int, text.split(",")))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=sizes_of, default=list(SIZES), help="prompts, by commas (default up to 10^7)")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="draw the numbers into an SVG file")
    arguments = parser.parse_args()
    assert {case.policy for case in CASES.values()} == set(policy_names()), "each policy needs a case"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    before = os.getloadavg()[0]
    found = {size: measure(size) for size in arguments.sizes}
    console = Console(width=150)
    for table in (table_of(found, GROWS), beside_plain()):
        console.print(table)
    print(f"load of the {os.cpu_count()} cores: {before:.1f} before, {os.getloadavg()[0]:.1f} after")
    if arguments.picture is not None:
        draw(found, arguments.picture)


if __name__ == "__main__":
    main()
