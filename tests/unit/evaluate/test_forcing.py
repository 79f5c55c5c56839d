"""On the real tokenizer of the tiny model: tags, `\\boxed{` and "wait " are one token each, letters one each."""

from typing import Any

import pytest
from transformers import AutoTokenizer

from laser_verl.data import tiny_world
from laser_verl.evaluate.forcing import cut, encode, thinking_tokens

CUE = "\\boxed{"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(tiny_world.base_path())


def text_of(tokenizer: Any, response: str, budget: int, opens: bool = False, truncated: bool = False) -> str | None:
    found = cut(tokenizer, response, opens, truncated, budget, CUE)
    return None if found is None else tokenizer.decode(found.token_ids)


def test_a_thought_is_cut_after_the_budget(tokenizer: Any) -> None:
    response = "<think>abc,wait abc!</think>\\boxed{a}"
    assert text_of(tokenizer, response, 5) == "<think>abc,wait </think>\\boxed{"
    assert text_of(tokenizer, response, 0) == "<think></think>\\boxed{"
    found = cut(tokenizer, response, False, False, 5, CUE)
    assert found is not None
    # the opening tag, five tokens, the closing tag; then the cue
    assert (found.num_thinking, len(found.token_ids)) == (7, 8)


def test_where_the_prompt_opened_the_thought_the_response_does_not(tokenizer: Any) -> None:
    assert text_of(tokenizer, "abc,</think>\\boxed{a}", 2, opens=True) == "ab</think>\\boxed{"
    # a tag that it writes nevertheless is part of the thought
    assert text_of(tokenizer, "abc,<think>abc</think>\\boxed{a}", 2, opens=True) == "ab</think>\\boxed{"


def test_what_stands_before_the_thought_is_kept(tokenizer: Any) -> None:
    assert text_of(tokenizer, "abc,<think>abc</think>\\boxed{a}", 2) == "abc,<think>ab</think>\\boxed{"


def test_a_thought_within_the_budget_stands(tokenizer: Any) -> None:
    assert text_of(tokenizer, "<think>abc,</think>\\boxed{a}", 4) is None
    assert text_of(tokenizer, "<think>abc,</think>\\boxed{a}", 3) == "<think>abc</think>\\boxed{"


def test_a_thought_that_was_cut_off_is_closed_whatever_the_budget(tokenizer: Any) -> None:
    assert text_of(tokenizer, "<think>abc", 100, truncated=True) == "<think>abc</think>\\boxed{"
    # a model that stops without closing its thought has answered
    assert text_of(tokenizer, "<think>abc", 100) is None


def test_a_response_without_a_thought_stands(tokenizer: Any) -> None:
    assert text_of(tokenizer, "\\boxed{a}", 0) is None


@pytest.mark.parametrize(
    ("response", "opens", "expected"),
    [
        # <think> a b c , </think> and then the answer
        ("<think>abc,</think>\\boxed{a}", False, 6),
        ("abc,</think>\\boxed{a}", True, 5),
        ("<think>abc", False, 4),
        ("abc", True, 3),
        ("\\boxed{a}", False, 0),
        ("", False, 0),
    ],
)
def test_thinking_tokens_end_with_the_closing_tag(tokenizer: Any, response: str, opens: bool, expected: int) -> None:
    assert thinking_tokens(tokenizer, encode(tokenizer, response), response, opens) == expected


def test_thinking_tokens_where_the_tag_is_several_tokens() -> None:
    class Letters:
        def encode(self, text: str, add_special_tokens: bool) -> list[int]:
            return [ord(letter) for letter in text]

    response = "ab</think>c"
    assert thinking_tokens(Letters(), Letters().encode(response, False), response, True) == 10
