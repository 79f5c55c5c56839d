"""A key for a prompt that stays the same over runs, shards, shuffles and resumes."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def prompt_key(data_source: Any, prompt: Any, ground_truth: Any) -> str:
    """16 hexadecimal digits: a 64-bit BLAKE2b over data source, prompt content and gold answer.

    verl's ``uid`` is drawn anew at each fetch and its ``index`` is 0 when the data set has none, so neither can
    carry state over steps.

    Args:
        data_source: the row's ``data_source``, or None.
        prompt: the chat messages (a sequence of mappings) or a string.
        ground_truth: the row's gold answer, or None.

    Returns:
        The key, the same on every machine; ``prompt_key("gsm8k", "1+1?", "2")`` is ``"95457966e25a095e"``.
    """
    text = json.dumps(_plain([data_source, prompt, ground_truth]), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if hasattr(value, "tobytes") and hasattr(value, "mode"):  # an image, which shows itself by its address
        digest = hashlib.blake2b(value.tobytes(), digest_size=8).hexdigest()
        return [str(value.mode), list(value.size), digest]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
