"""Laws of `laser-verl prepare`: splits hold whatever is added, copies are found in any dress, files in any pieces."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from laser_verl.data.prepare import reading
from laser_verl.data.prepare.duplicates import Duplicates
from laser_verl.data.prepare.layouts import lookup
from laser_verl.data.prepare.overlap import WORDS, EvaluationSet, Overlap, words_of
from laser_verl.data.prepare.reading import read_rows
from laser_verl.data.prepare.rows import Row, digest, hash64
from laser_verl.data.prepare.splits import MONITOR, TRAIN, VALIDATION, Splitter, drawn_budget

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
NUMBERS = st.lists(st.integers(0, 400), unique=True, max_size=150)
SIZES = st.integers(0, 12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**20) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NAME = st.text("abc", min_size=1, max_size=2)
NESTED = st.recursive(
    st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3)
)
OBJECTS = st.lists(st.dictionaries(TEXT, JSON, min_size=1, max_size=3), min_size=1, max_size=6)


def row(number: int, index: int = 0) -> Row:
    text = f"problem {number}"
    return Row(index, text, str(number), "math", None, None, digest(text))


def split_of(numbers: Sequence[int], seed: int, monitor: int, validation: int) -> dict[int, str]:
    """The split of each problem."""
    splitter = Splitter(seed, monitor, validation)
    trained = [splitter.place(row(number, index)) for index, number in enumerate(numbers)]
    found = {int(one.gold): TRAIN for one in trained if one is not None}  # type: ignore[arg-type]
    for split in (MONITOR, VALIDATION):
        held = {int(one.gold): split for one in splitter.held_out(split)}  # type: ignore[arg-type]
        assert not held.keys() & found.keys()
        found |= held
    return found


@given(NUMBERS, NUMBERS, st.integers(0, 5), SIZES, SIZES)
def test_more_rows_never_hold_out_what_was_trained_on_nor_move_it_between_the_held_out(
    first: list[int], more: list[int], seed: int, monitor: int, validation: int
) -> None:
    before = split_of(first, seed, monitor, validation)
    after = split_of([*first, *(number for number in more if number not in first)], seed, monitor, validation)
    assert before.keys() == set(first)
    for number, split in before.items():
        assert after[number] in (split, TRAIN)
    assert sum(split == MONITOR for split in after.values()) <= monitor
    assert sum(split == VALIDATION for split in after.values()) <= validation


@given(NUMBERS, NUMBERS, st.integers(0, 5))
def test_where_there_is_room_no_row_moves_at_all(first: list[int], more: list[int], seed: int) -> None:
    before = split_of(first, seed, 1000, 1000)
    after = split_of([*(number for number in more if number not in first), *first], seed, 1000, 1000)
    assert before.items() <= after.items()


@given(NUMBERS.flatmap(st.permutations), st.integers(0, 5), SIZES, SIZES)
def test_the_order_of_the_rows_does_not_matter(numbers: list[int], seed: int, monitor: int, validation: int) -> None:
    assert split_of(numbers, seed, monitor, validation) == split_of(sorted(numbers), seed, monitor, validation)


def test_about_a_tenth_of_the_rows_may_be_held_out_for_each() -> None:
    found = list(split_of(range(5000), 1, 5000, 5000).values())
    # 500 expected, standard deviation 21
    assert all(400 < found.count(split) < 600 for split in (MONITOR, VALIDATION))


@given(st.integers(0, 9), st.integers(0, 10**6), st.integers(1, 50), st.integers(0, 50))
def test_budgets_are_in_their_range_and_drawn_by_seed_and_text(seed: int, number: int, low: int, width: int) -> None:
    budget = drawn_budget(seed, row(number), low, low + width)
    assert low <= budget <= low + width
    assert budget == drawn_budget(seed, row(number, index=7), low, low + width)


@given(st.lists(TEXT, min_size=1, max_size=5), st.sampled_from([" ", "\n", " \t "]))
def test_spaces_and_capitals_make_no_other_problem(words: list[str], space: str) -> None:
    text = " ".join(words)
    spaced = space + space.join(text.split()) + space
    assert digest(text) == digest(spaced) == digest(text.casefold())


@given(st.text(st.sampled_from("ab1 "), max_size=6), st.text(st.sampled_from("ab1 "), max_size=6))
def test_other_signs_make_another_problem(one: str, other: str) -> None:
    assert (digest(one) == digest(other)) == (one.split() == other.split())


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=30), st.integers(1, 7))
def test_each_problem_is_kept_once_the_first_time_whatever_the_batches(pairs: list[tuple[int, int]], size: int) -> None:
    counted: list[str] = []

    class Found:
        def count(self, reason: str, number: int = 1) -> None:
            counted.extend([reason] * number)

        def add(self, _: Row, finding: str, is_kept: bool, details: dict[str, Any]) -> None:
            assert not is_kept
            assert details.keys() == {"gold"}
            counted.append(finding)

    rows = [row(number, index) for index, (number, _) in enumerate(pairs)]
    for one, (_, gold) in zip(rows, pairs, strict=True):
        one.gold = str(gold)
    stage = Duplicates()
    kept = [one for first in range(0, len(rows), size) for one in stage(rows[first : first + size], Found())]
    first_of: dict[int, Row] = {}
    for one in rows:
        first_of.setdefault(one.digest, one)
    assert kept == list(first_of.values())
    same = [one for one in rows if one is not first_of[one.digest] and one.gold == first_of[one.digest].gold]
    assert counted.count("duplicate") == len(same)
    assert len(counted) == len(rows) - len(kept)


@settings(deadline=None)
@given(OBJECTS, st.sampled_from([None, 1]), st.booleans(), st.integers(1, 40))
def test_json_is_the_same_in_any_form_and_pieces(
    rows: list[dict[str, Any]], indent: int | None, is_array: bool, size: int
) -> None:
    if is_array:
        text = json.dumps(rows, indent=indent, ensure_ascii=False)
    else:
        text = "\n".join(json.dumps(one, indent=indent, ensure_ascii=False) for one in rows)
    with TemporaryDirectory() as folder, patch.object(reading, "_CHARACTERS_AT_A_TIME", size):
        path = Path(folder) / "rows.json"
        path.write_text(text, encoding="utf-8")
        assert list(read_rows(path)) == rows
        lines = Path(folder) / "rows.jsonl"
        lines.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
        assert list(read_rows(lines)) == rows


@given(st.dictionaries(NAME, NESTED, min_size=1, max_size=4))
def test_every_value_has_a_path(values: dict[str, Any]) -> None:
    def check(value: Any, path: str) -> None:
        assert lookup(values, path, None) == value
        assert lookup({"a.b": {"c": values}}, f"a.b.c.{path}", None) == value
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, inner in items:
            check(inner, f"{path}.{name}")

    for name, value in values.items():
        check(value, name)


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=40), st.integers(0, 30), st.integers(1, 30))
def test_what_shares_words_enough_is_found_whatever_stands_around(signs: list[str], first: int, length: int) -> None:
    words = [f"{sign}word" for sign in signs]
    one = EvaluationSet("own", Path("own.jsonl"), (("p", tuple(words)),))
    part = words[first : first + length]
    found = Overlap([one]).find(f"Before. {' '.join(part)}! After")
    assert (found is not None) == (len(part) >= WORDS)
    assert Overlap([one]).find(" ".join(words).upper()) is not None


@given(TEXT)
def test_words_are_letters_and_digits_only(text: str) -> None:
    assert all(word.replace("_", "") == word and word == word.casefold() for word in words_of(text))
    assert words_of(f" {text}. ") == words_of(text)


def test_hashes_are_the_same_on_every_machine() -> None:
    expected = hashlib.blake2b(b"a\x001", digest_size=8).hexdigest()
    assert hash64("a", 1) == int(expected, 16) == 0xCD85A665880B4301
    assert digest("What is  1+1?") == hash64("what is 1+1?") == 0xF286E31081E3A626
