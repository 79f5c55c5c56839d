from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from laser_verl.core.keys import prompt_key

MESSAGES = [{"role": "system", "content": "Think."}, {"role": "user", "content": "1+1?"}]


def test_the_key_is_a_known_number() -> None:
    # printf '["gsm8k", "1+1?", "2"]' | b2sum -l 64
    assert prompt_key("gsm8k", "1+1?", "2") == "95457966e25a095e"


def test_a_row_has_one_key_however_it_was_loaded() -> None:
    key = prompt_key("gsm8k", MESSAGES, ["2", "two"])
    as_array = np.array(MESSAGES, dtype=object)
    assert prompt_key("gsm8k", as_array, np.array(["2", "two"])) == key
    assert prompt_key(np.str_("gsm8k"), tuple(MESSAGES), ("2", "two")) == key
    assert prompt_key("gsm8k", [dict(reversed(message.items())) for message in MESSAGES], ["2", "two"]) == key
    # a column of messages gives each of them the fields of all, as None
    assert prompt_key("gsm8k", [{**message, "name": None} for message in MESSAGES], ["2", "two"]) == key


def test_contents_of_several_parts_may_be_arrays_too() -> None:
    parts = [{"type": "text", "text": "1+1"}, {"type": "text", "text": "?"}]
    key = prompt_key("gsm8k", [{"role": "user", "content": parts}], "2")
    assert prompt_key("gsm8k", [{"role": "user", "content": np.array(parts, dtype=object)}], "2") == key
    assert prompt_key("gsm8k", [{"role": "user", "content": parts[:1]}], "2") != key


@pytest.mark.parametrize(
    "changed",
    [
        ("gsm8l", MESSAGES, "2"),
        (None, MESSAGES, "2"),
        ("gsm8k", MESSAGES, "3"),
        ("gsm8k", MESSAGES, None),
        ("gsm8k", [{"role": "system", "content": "Think!"}, MESSAGES[1]], "2"),
        ("gsm8k", [MESSAGES[0], {"role": "user", "content": "1+2?"}], "2"),
        ("gsm8k", [{"role": "user", "content": "Think."}, MESSAGES[1]], "2"),
        ("gsm8k", [MESSAGES[0], {"role": "assistant", "content": "1+1?"}], "2"),
        ("gsm8k", MESSAGES[::-1], "2"),
        ("gsm8k", MESSAGES[1:], "2"),
        ("gsm8k", [*MESSAGES, MESSAGES[1]], "2"),
        ("gsm8k", [], "2"),
    ],
)
def test_any_other_source_message_or_gold_gives_another_key(changed: tuple[Any, Any, Any]) -> None:
    assert prompt_key(*changed) != prompt_key("gsm8k", MESSAGES, "2")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "p", "c"), ("a", "p", "bc")),
        (("ab", "p", "c"), ("a", "bp", "c")),
        (("s", "ab", "c"), ("s", "a", "bc")),
        (("s", "p", ""), ("", "p", "s")),
        (('a", "b', "c", "d"), ("a", 'b", "c', "d")),
        (("s", [{"role": "me", "content": "ab"}], "g"), ("s", [{"role": "mea", "content": "b"}], "g")),
        (
            ("s", [{"role": "user", "content": "ab"}, {"role": "user", "content": "c"}], "g"),
            ("s", [{"role": "user", "content": "a"}, {"role": "user", "content": "bc"}], "g"),
        ),
    ],
)
def test_text_that_moves_between_fields_does_not_collide(
    one: tuple[Any, Any, Any], other: tuple[Any, Any, Any]
) -> None:
    assert prompt_key(*one) != prompt_key(*other)
