"""Budget forcing: a thought is cut after so many tokens, and the answer is asked for.

Source: arXiv 2501.19393; a budget of 0 is NoThinking, arXiv 2504.09858.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from laser_verl.scoring.formats import CLOSE, OPEN


@dataclass(frozen=True)
class Cut:
    """A response up to where the answer begins.

    Attributes:
        token_ids: What stands before the answer: opening tag, what is left of the thought, closing tag, cue.
        num_thinking: Tokens of it up to the closing tag, the tag included.
    """

    token_ids: list[int]
    num_thinking: int


def cut(tokenizer: Any, response: str, opens_think: bool, is_truncated: bool, budget: int, cue: str) -> Cut | None:
    r"""Cut the thought of a response.

    Args:
        tokenizer: Of the model.
        response: Text of the response.
        opens_think: The prompt ended with the opening think tag.
        is_truncated: The response was cut off at its longest length.
        budget: Tokens of the thought that are kept, tags not counted.
        cue: What follows the closing tag, such as `\boxed{`.

    Returns:
        What replaces the beginning of the response; None where the response stands: it does not think, or its thought
        ends within the budget.
    """
    before, opened, after = ("", "", response) if opens_think else response.partition(OPEN)
    if not opened and not opens_think:
        return None
    thought, closed, _ = after.partition(CLOSE)
    ids = encode(tokenizer, thought)
    if len(ids) <= budget and (closed or not is_truncated):
        return None
    head = encode(tokenizer, before + opened) + ids[:budget]
    end = encode(tokenizer, CLOSE)
    return Cut(head + end + encode(tokenizer, cue), len(head) + len(end))


def thinking_tokens(tokenizer: Any, token_ids: Sequence[int], response: str, opens_think: bool) -> int:
    """The tokens of a response up to the end of its thought, the closing tag included.

    Args:
        tokenizer: Of the model.
        token_ids: The response.
        response: Its text.
        opens_think: The prompt ended with the opening think tag.

    Returns:
        All tokens for a thought that is never closed, 0 without a thought.
    """
    head, closed, _ = response.partition(CLOSE)
    if not closed:
        return len(token_ids) if opens_think or OPEN in response else 0
    end = encode(tokenizer, CLOSE)
    if len(end) == 1 and end[0] in token_ids:
        return list(token_ids).index(end[0]) + 1
    return min(len(token_ids), len(encode(tokenizer, head + CLOSE)))


def encode(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a piece of text."""
    return list(tokenizer.encode(text, add_special_tokens=False))
