"""Keys of prompts and their places."""

import numpy as np
import pytest

from laser_verl.core.keys import prompt_key
from laser_verl.core.prompt_index import PromptIndex, key_numbers, key_texts


def keys(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.uint64)


def test_places_follow_the_order_of_first_appearance() -> None:
    index = PromptIndex()
    assert index.add(keys(9, 3, 9, 7)).tolist() == [0, 1, 0, 2]
    assert index.add(keys(7, 1, 3)).tolist() == [2, 3, 1]
    assert index.find(keys(1, 2, 9)).tolist() == [3, -1, 0]
    assert index.keys.tolist() == [9, 3, 7, 1]
    assert len(index) == 4


def test_nothing_is_known_at_first() -> None:
    index = PromptIndex()
    assert index.find(keys(1, 2)).tolist() == [-1, -1]
    assert index.add(keys()).tolist() == []
    assert index.keys.tolist() == []


@pytest.mark.parametrize("batch", [1, 7, 500, 9000, 20000])
def test_many_small_batches_give_what_one_large_one_does(batch: int) -> None:
    numbers = np.random.default_rng(batch).integers(0, 15_000, 20_000).astype(np.uint64)
    places: dict[int, int] = {}
    for number in numbers.tolist():
        places.setdefault(number, len(places))
    index = PromptIndex()
    for start in range(0, len(numbers), batch):
        part = numbers[start : start + batch]
        assert index.add(part).tolist() == [places[number] for number in part.tolist()]
    assert index.keys.tolist() == list(places)
    assert index.find(numbers).tolist() == [places[number] for number in numbers.tolist()]


def test_the_largest_key_is_a_key() -> None:
    index = PromptIndex()
    assert index.add(keys(2**64 - 1, 0)).tolist() == [0, 1]
    assert index.find(keys(0, 2**64 - 1)).tolist() == [1, 0]


def test_texts_of_sixteen_digits_are_their_number_and_others_are_hashed() -> None:
    key = prompt_key("gsm8k", "1+1?", "2")
    assert key == "95457966e25a095e"
    assert key_numbers([key, "00000000000000ff"]).tolist() == [0x95457966E25A095E, 255]
    assert key_texts(keys(0x95457966E25A095E, 255)) == [key, "00000000000000ff"]
    one, same, other, capital = key_numbers(["row 1", "row 1", "row 2", key.upper()]).tolist()
    assert one == same
    assert len({one, other, capital, 0x95457966E25A095E}) == 4
