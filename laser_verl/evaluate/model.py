"""The model of an evaluation: a folder, wherever it comes from, with what identifies it and how much it can read."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laser_verl.commands import BadInput, WrongUsage
from laser_verl.data.hub import fetch

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
_WEIGHTS = ("*.safetensors", "*.bin")
# Weights are told apart by blocks from all over each file: 64 GB would take minutes to read.
_BLOCKS, _BLOCK_BYTES = 64, 1 << 15


@dataclass(frozen=True)
class Model:
    """A model that can be loaded.

    Attributes:
        name: As tables show it.
        folder: Where config, tokenizer and weights are.
        context_tokens: The longest text that it can read.
    """

    name: str
    folder: Path
    context_tokens: int


def find_model(given: str) -> Model:
    """The model that a user names.

    Args:
        given: A Hugging Face folder, a checkpoint of verl (`global_step_N`), or a name on the hub.

    Returns:
        The model; a checkpoint has been merged into a cache folder.

    Raises:
        WrongUsage: If there is no such folder.
        BadInput: If the folder is no model, the checkpoint cannot be read, or the hub cannot be reached.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        folder, name = _merged(path), _name_of(path)
    elif path.exists() or not _HUB_NAME.fullmatch(given) or path.parent.is_dir():
        raise WrongUsage(
            f"MODEL {given} is no folder; give one with config.json and weights, a global_step_N of verl, or a name on "
            "the hub"
        )
    else:
        folder, name = fetch(given, _HUB_FILES, is_dataset=False, asked=f"MODEL {given} is no folder, and"), given
    context = _context(folder)
    _refuse_unreadable(folder)
    return Model(name, folder, context)


def fingerprint(folder: Path, chat_template: Any) -> str:
    """16 digits that tell models apart, from configs, tokenizer, chat template, and blocks of every file of weights.

    Args:
        folder: Of a model.
        chat_template: Of its tokenizer, wherever that keeps it.

    Returns:
        The digits, the same wherever the folder lies.
    """
    digest = hashlib.blake2b(json.dumps(chat_template, sort_keys=True).encode(), digest_size=8)
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        digest.update((folder / name).read_bytes() if (folder / name).is_file() else b"-")
    for path in _weights(folder):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        last = max(0, size - _BLOCK_BYTES)
        with path.open("rb") as file:
            for number in range(_BLOCKS):
                file.seek(last * number // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()


def load_tokenizer(model: Model) -> Any:
    """The tokenizer of a model, which has to have a chat template; raises BadInput without one."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model.folder)
    except Exception as error:  # whatever it says of files that are not there, or damaged
        said = " ".join(str(error).split())
        raise BadInput(f"{model.folder}: its tokenizer cannot be read: {said:.200}; give a complete model") from error
    if not tokenizer.chat_template:
        raise BadInput(f"{model.folder}: its tokenizer has no chat template; give a model that was trained to chat")
    return tokenizer


def refuse_too_long(model: Model, prompts: Sequence[Sequence[int]], max_tokens: int) -> int:
    """The context that an evaluation needs: its longest prompt and a response after it.

    Args:
        model: The model.
        prompts: Token ids of each prompt.
        max_tokens: Longest response.

    Returns:
        Tokens.

    Raises:
        WrongUsage: If that is more than the model can read.
    """
    longest = max(map(len, prompts))
    if longest + max_tokens > model.context_tokens:
        rest = model.context_tokens - longest
        raise WrongUsage(
            f"--max-tokens {max_tokens}: the longest prompt has {longest} tokens, and {model.name} reads "
            f"{model.context_tokens} (max_position_embeddings); "
            + (f"give at most --max-tokens {rest}" if rest > 0 else "give problems that it can read")
        )
    return longest + max_tokens


def _merged(path: Path) -> Path:
    if (path / "config.json").is_file():
        return path
    from laser_verl.verl_ext.merge import actor_folder, merged

    actor = actor_folder(path)
    if actor is None:
        steps = sorted(path.glob("global_step_*"))
        hint = f", such as {steps[-1]}" if steps else ""
        raise BadInput(
            f"{path} holds no model: neither config.json, as of a Hugging Face folder, nor actor/fsdp_config.json or "
            f"actor/model/huggingface, as of a checkpoint of verl; give one that does{hint}"
        )
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return merged(actor, home / "laser_verl" / "merged")


def _name_of(path: Path) -> str:
    full = path.resolve()
    return full.parent.name if full.name == "actor" else full.name


def _weights(folder: Path) -> list[Path]:
    return sorted(path for pattern in _WEIGHTS for path in folder.glob(pattern))


def _refuse_unreadable(folder: Path) -> None:
    """Look at the headers of the weights, so that a file that is missing or cut off is found before vLLM starts."""
    from safetensors import SafetensorError, safe_open

    for path in sorted({*_weights(folder), *_shards(folder)}):
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, "numpy"):
                    pass
            else:
                path.open("rb").close()
        except (OSError, SafetensorError) as error:
            said = " ".join(str(error).split())
            raise BadInput(f"{path} cannot be read: {said:.200}; was it copied whole? Give a complete model") from error


def _shards(folder: Path) -> list[Path]:
    """The files of weights that an index names; vLLM does not miss all of them."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return []
    try:
        return [folder / name for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadInput(f"{index} cannot be read: {error}; give a complete model") from error


def _context(folder: Path) -> int:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        found = _positions(config) or _positions(config.get("text_config") or {})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} cannot be read: {error}; give a complete model") from error
    if not _weights(folder):
        raise BadInput(f"{folder} holds no weights ({' or '.join(_WEIGHTS)}); give a complete model")
    if not found:
        raise BadInput(f"{path} does not say max_position_embeddings, the longest text that the model reads; add it")
    return found


def _positions(config: Mapping[str, Any]) -> int:
    return int(config.get("max_position_embeddings") or 0)
