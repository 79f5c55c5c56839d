"""Laws of the loop detector that hold for any tokens."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from laser_verl.scoring.loops import is_repetitive
from laser_verl.scoring.runs import Runs, covered, densest, distances

IDS = st.lists(st.integers(0, 3), max_size=300)
BLOCK = st.lists(st.integers(0, 9), min_size=1, max_size=100)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), max_size=300), BLOCK, st.integers(4, 8), st.integers(0, 99), st.booleans())
def test_any_block_repeated_enough_is_a_loop(
    prefix: list[int], block: list[int], copies: int, cut: int, closed: bool
) -> None:
    copies = max(copies, -(-64 // len(block)))
    assert is_repetitive(prefix + block * copies + block[: cut % len(block)] + [77, 78] * closed)


@given(IDS)
def test_short_responses_loop_by_the_exact_rule_alone(ids: list[int]) -> None:
    ids = ids[:139]

    def ends_in_copies(tail: list[int]) -> bool:
        for period in range(1, len(tail) // 4 + 1):
            need = max(4 * period, 64)
            window = tail[-need:]
            if need <= len(tail) and all(window[i] == window[i - period] for i in range(period, need)):
                return True
        return False

    assert is_repetitive(ids) == any(ends_in_copies(ids[: max(len(ids) - closing, 0)]) for closing in range(3))


@given(st.lists(st.integers(), max_size=300, unique=True))
def test_tokens_that_never_come_back_are_no_loop(ids: list[int]) -> None:
    assert not is_repetitive(ids)


@settings(max_examples=50)
@given(IDS, BLOCK, st.permutations(range(10)), st.integers(-(10**20), 10**20))
def test_only_equality_of_tokens_matters(prefix: list[int], block: list[int], names: list[int], far: int) -> None:
    ids = (prefix + block * 6)[:600]
    assert is_repetitive([far + names[token] for token in ids]) == is_repetitive(ids)


@settings(max_examples=50)
@given(BLOCK, st.integers(0, 400))
def test_other_text_ends_a_loop_by_its_length(block: list[int], after: int) -> None:
    loop = (block * 300)[: max(200, 5 * len(block))]
    other = list(range(100, 100 + after))
    assert is_repetitive(loop + other) or after > 0.9 * len(loop)
    assert not is_repetitive(loop + list(range(100, 111 + len(loop))))


@given(IDS.filter(lambda ids: len(ids) >= 3), st.integers(1, 3))
def test_runs_are_found_where_a_search_finds_them(ids: list[int], length: int) -> None:
    array = np.array(ids)
    runs = Runs.of(array, length)
    text = [tuple(ids[i : i + length]) for i in range(len(ids) - length + 1)]
    last = [next((i - j for j in reversed(range(i)) if text[j] == run), 0) for i, run in enumerate(text)]
    assert runs.distance.tolist() == last
    assert distances(array, length)[: len(last)].tolist() == last
    starts = np.arange(len(text))
    for distance, drift in ((1, 0), (5, 2), (-4, 1)):
        found, where = runs.seen_before(starts, distance, drift)
        for i in range(len(text)):
            near = [j for j in range(i - distance - drift, i - distance + drift + 1) if 0 <= j < len(text)]
            same = [j for j in near if text[j] == text[i]]
            assert bool(found[i]) == bool(same)
            assert not same or where[i] == same[0]


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 6))
def test_covered_agrees_with_its_definition(starts: list[bool], length: int) -> None:
    size = len(starts) + length - 1
    found = covered(np.array(starts), length, size).tolist()
    assert found == [any(starts[max(i - length + 1, 0) : i + 1]) for i in range(size)]


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 4), st.integers(0, 5))
def test_densest_agrees_with_a_search(marks: list[bool], cost: int, longest_gap: int) -> None:
    def gain(part: list[bool]) -> int:
        gaps = "".join("01"[mark] for mark in part).split("1")
        return sum(1 if mark else -cost for mark in part) if max(map(len, gaps)) <= longest_gap else -1

    start, end = densest(np.array(marks), cost, longest_gap)
    assert gain(marks[start:end]) == max(gain(marks[i:j]) for i in range(len(marks)) for j in range(i, len(marks) + 1))
