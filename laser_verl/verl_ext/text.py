"""Token ids to text with the think tags kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_KEPT = ("think", "boxed", "answer")


def decode_visible(tokenizer: Any, ids: Sequence[int]) -> str:
    """Decode without end-of-text and padding tokens but with think tags.

    ``skip_special_tokens=True`` also drops think tags where a tokenizer lists them as special, and a response without
    them looks malformed.

    Args:
        tokenizer: a Hugging Face tokenizer.
        ids: token ids of one text.

    Returns:
        The text.
    """
    hidden = {
        token_id
        for token, token_id in zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)
        if not any(word in token for word in _KEPT)
    }
    return tokenizer.decode([i for i in ids if i not in hidden], skip_special_tokens=False)
