"""Degenerate loops are found, text that merely repeats itself is not."""

import time

import numpy as np
import pytest

from laser_verl.scoring.loops import is_repetitive, word_ids

PROSE = list(range(1000, 1300))


@pytest.mark.parametrize("period", [1, 2, 5, 17, 64, 250])
def test_loops_of_every_period_are_found(period: int) -> None:
    copies = max(4, -(-64 // period))  # enough for both limits: 4 copies, 64 tokens
    assert is_repetitive(PROSE + list(range(period)) * copies)
    assert not is_repetitive(PROSE + list(range(period)) * 3)


def test_limits_are_exact() -> None:
    assert is_repetitive([1, 2, 3, 4, 5] * 13)  # 65 tokens
    assert not is_repetitive([9, 8, 7] + [1, 2, 3, 4, 5] * 12)  # 60 tokens
    assert is_repetitive([7] * 64)
    assert not is_repetitive([7] * 63)
    assert is_repetitive([9, *range(100), *range(100), *range(100), *range(100)])
    assert not is_repetitive([9, *range(1, 100), *range(100), *range(100), *range(100)])  # one token short of 4 copies


def test_the_last_copy_may_be_cut_and_an_end_token_may_follow() -> None:
    loop = PROSE + list(range(50)) * 5
    assert is_repetitive([*loop, 0, 1, 2])
    assert is_repetitive([*loop, 2])
    assert not is_repetitive([*loop, 2, 3])  # it got out of the loop


def test_a_loop_that_was_left_again_is_not_the_tail() -> None:
    assert not is_repetitive([1, 2, 3] * 100 + PROSE)


# Shapes of golden case `laser-de/repetition-detector`, on which the official detector is inconsistent.
@pytest.mark.parametrize(
    ("ids", "looping"),
    [
        (list(range(300)), False),
        ([*range(100), *([7, 8, 9, 10, 11] * 40)], True),
        ([*range(400), 0, 1, 2, 3, *range(400, 800)], False),
        (list(range(100)) + [5] * 200, True),
        ([1, 2, 3] * 3, False),
        ([], False),
        ([1], False),
    ],
)
def test_defined_on_every_shape(ids: list[int], looping: bool) -> None:
    assert is_repetitive(ids) == looping
    assert is_repetitive(np.array(ids, dtype=np.int64)) == looping


def test_a_numbered_list_is_no_loop() -> None:
    text = "\n".join(f"{i} . Case x = {i} : then the sum is {i * i} , which is not prime ." for i in range(60))
    assert not is_repetitive(word_ids(text))


def test_words_stand_in_for_tokens() -> None:
    assert word_ids("a b a") == [0, 1, 0]
    assert is_repetitive(word_ids("wait , no . " * 20))


@pytest.mark.parametrize("kind", ["random", "one token", "thue-morse", "almost a loop"])
def test_a_hundred_thousand_tokens_take_milliseconds(kind: str) -> None:
    n = 100_000
    ids = {
        "random": np.random.default_rng(0).integers(0, 50_000, n),
        "one token": np.zeros(n, np.int64),
        # The sequence that defeats polynomial hashes modulo 2^64.
        "thue-morse": np.array([bin(i).count("1") % 2 for i in range(n)]),
        "almost a loop": np.concatenate([[1], np.zeros(n // 2, np.int64), [1], np.zeros(62, np.int64)]),
    }[kind]
    begun = time.perf_counter()
    assert is_repetitive(ids) == (kind == "one token")
    assert time.perf_counter() - begun < 0.25  # about 5 ms on an idle core
