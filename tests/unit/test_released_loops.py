"""The released repetition rule gives the numbers that the released code printed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from laser_verl.scoring.loops import is_repetitive
from laser_verl.scoring.released_loops import is_repetitive_as_released, released_start
from tests.data.loops import corpus

(CASE,) = (
    case
    for case in json.loads((Path(__file__).parent / "golden" / "laser.json").read_text())["cases"]
    if case["id"] == "laser-de/repetition-detector"
)


@pytest.mark.parametrize("name", CASE["inputs"])
def test_replays_the_released_code_on_plain_ids(name: str) -> None:
    ids: list[int] = CASE["inputs"][name]
    expected: dict[str, Any] = CASE["expected"][name]
    assert len(ids) == expected["n"]
    assert released_start(ids) == expected["start_on_list"]
    assert is_repetitive_as_released(ids) == expected["repeated_on_list"]


@pytest.mark.parametrize("name", CASE["inputs"])
def test_never_fires_as_it_was_shipped(name: str) -> None:
    ids = torch.tensor(CASE["inputs"][name])
    assert released_start(ids) == CASE["expected"][name]["start_on_tensor"] == len(ids)
    assert not is_repetitive_as_released(ids)
    assert not CASE["expected"][name]["repeated_on_tensor"]


@pytest.mark.parametrize(
    ("ids", "start"),
    [
        ([], 0),
        ([1] * 8, 8),
        # n = 2, twice: (5, 5) at 7 and 6, closer than 9 // 3.
        ([1, 2, 3, 4, 0, 6, 5, 5, 5], 6),
        # n = 3: runs of one token are skipped, and of 6 tokens (0, 0, 0, 0, 0, 0) is at 24 and 23.
        ([0] * 30, 23),
        # n = 3, twice: (1, 2, 3) at 47 and 20, not closer than 50 // 3; of 6 tokens none is there twice.
        ([*range(100, 120), 1, 2, 3, *range(200, 224), 1, 2, 3], 50),
        # As before, but 15 apart.
        ([*range(100, 132), 1, 2, 3, *range(200, 212), 1, 2, 3], 32),
    ],
)
def test_rule_by_hand(ids: list[int], start: int) -> None:
    assert released_start(ids) == start


def test_it_flags_the_ordinary_reasoning_that_ours_passes() -> None:
    solutions = corpus.pieces(corpus.solutions())
    chunks = [solutions[start : start + 1000] for start in range(0, len(solutions) - 1000, 1000)]
    assert len(chunks) >= 10
    assert not any(is_repetitive(chunk) for chunk in chunks)
    assert all(is_repetitive_as_released(chunk.tolist()) for chunk in chunks)
