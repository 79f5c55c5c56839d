"""The tracker beside a plain dictionary, on random batches; and laws of what it keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laser_verl.core.prompt_index import PromptIndex, key_numbers, key_texts
from laser_verl.core.rollouts import Rollouts
from laser_verl.core.tracker import DifficultyTracker

# (prompt, whether solved, length) of each response, in groups
RESPONSES = st.lists(st.tuples(st.booleans(), st.integers(0, 30)), min_size=1, max_size=4)
BATCHES = st.lists(st.lists(st.tuples(st.integers(0, 9), RESPONSES), max_size=6), max_size=8)


def rollouts(batch: list[tuple[int, list[tuple[bool, int]]]], step: int) -> Rollouts:
    rows = [(group, prompt, *row) for group, (prompt, responses) in enumerate(batch) for row in responses]
    group, prompt, solved, length = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Rollouts.build(group, length, solved, step=step, prompt_key=key_texts(np.array(prompt, dtype=np.uint64)))


def by_hand(batches: list[Any], decay: float) -> dict[int, dict[str, Any]]:
    """Each prompt's record, response by response."""
    known: dict[int, dict[str, Any]] = {}
    for step, batch in enumerate(batches, start=1):
        of_prompt: dict[int, list[list[tuple[bool, int]]]] = {}
        for prompt, responses in batch:
            of_prompt.setdefault(prompt, []).append(responses)
        for prompt, groups in of_prompt.items():
            record = known.setdefault(
                prompt, {"drawn": 0, "flags": [], "weight": 0.0, "won": 0.0, "lengths": [], "all": 0, "none": 0}
            )
            flags = [flag for responses in groups for flag, _ in responses]
            record["drawn"] += len(groups)
            record["flags"] += flags
            record["weight"] = decay * record["weight"] + len(flags)
            record["won"] = decay * record["won"] + sum(flags)
            record["lengths"] += [length for responses in groups for flag, length in responses if flag]
            record["all"] = record["all"] + len(groups) if all(flags) else 0
            record["none"] = 0 if any(flags) else record["none"] + len(groups)
            record["step"] = step
    return known


@settings(deadline=None)
@given(batches=BATCHES, decay=st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_the_tracker_is_the_dictionary(batches: list[Any], decay: float) -> None:
    tracker = DifficultyTracker(decay)
    for step, batch in enumerate(batches, start=1):
        tracker.observe(rollouts(batch, step))
    known = by_hand(batches, decay)
    assert tracker.keys.tolist() == list(known)
    for place, record in enumerate(known.values()):
        assert tracker.drawn[place] == record["drawn"]
        assert (tracker.responses[place], tracker.solved[place]) == (len(record["flags"]), sum(record["flags"]))
        assert tracker.pass_rate()[place] == pytest.approx(record["won"] / record["weight"], abs=1e-6)
        assert (tracker.solved_streak[place], tracker.failed_streak[place]) == (record["all"], record["none"])
        assert tracker.last_step[place] == record["step"]
        assert tracker.shortest[place] == min(record["lengths"], default=np.inf)
        mean = float(np.mean(record["lengths"])) if record["lengths"] else 0.0
        assert tracker.correct_length[place] == pytest.approx(mean, rel=1e-5)
    rates = [record["won"] / record["weight"] for record in known.values()]
    if rates:
        draws = [record["drawn"] for record in known.values()]
        effective = sum(draws) ** 2 / sum(draw**2 for draw in draws)
        assert tracker.metrics()["laser/tracker/effective_prompts"] == pytest.approx(effective)
        assert tracker.metrics()["laser/tracker/pass_rate"] == pytest.approx(np.mean(rates), abs=1e-6)


@settings(deadline=None)
@given(batches=BATCHES, kept=st.lists(st.integers(0, 14), unique=True))
def test_a_changed_data_set_leaves_what_it_shares_as_it_was(batches: list[Any], kept: list[int]) -> None:
    tracker, other = DifficultyTracker(), DifficultyTracker()
    for step, batch in enumerate(batches, start=1):
        tracker.observe(rollouts(batch, step))
    other.load_state_dict(tracker.state_dict())
    counts = other.keep_only(np.array(kept, dtype=np.uint64))
    before = set(tracker.keys.tolist())
    assert (counts.kept, counts.new) == (len(before & set(kept)), len(set(kept) - before))
    assert counts.dropped == len(before - set(kept))
    assert other.keys.tolist() == kept
    for place, key in enumerate(kept):
        there = tracker.places(np.array([key], dtype=np.uint64))[0]
        if there < 0:
            assert not other.is_seen()[place]
            continue
        for name in ("drawn", "solved", "weight", "last_step", "shortest", "solved_streak"):
            assert getattr(other, name)[place] == getattr(tracker, name)[there]
    seen = [rate for rate in other.pass_rate().tolist() if rate == rate]
    assert other.num_seen == len(seen)


@settings(deadline=None)
@given(parts=st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=20), max_size=8))
def test_an_index_numbers_keys_in_order_of_appearance(parts: list[list[int]]) -> None:
    index, places = PromptIndex(), {}
    for part in parts:
        expected = [places.setdefault(key, len(places)) for key in part]
        assert index.add(np.array(part, dtype=np.uint64)).tolist() == expected
    assert index.keys.tolist() == list(places)
    assert index.find(np.array(list(places), dtype=np.uint64)).tolist() == list(places.values())


@given(st.text())
def test_any_text_is_a_key(text: str) -> None:
    [number] = key_numbers([text]).tolist()
    assert 0 <= number < 2**64
    assert key_numbers([text]).tolist() == [number]
