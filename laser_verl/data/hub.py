"""Data sets and models of the Hugging Face hub: from its local cache, or fetched into it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from laser_verl.commands import BadInput


def fetch(
    name: str, patterns: Sequence[str], is_dataset: bool, asked: str, by_hand: str = "", then: str = "give FOLDER"
) -> Path:
    """The folder of a data set or model in the hub's local cache, fetched where it is not there.

    Args:
        name: On the hub, as `openai/gsm8k`.
        patterns: Of the files that are wanted.
        is_dataset: Of data sets, not of models.
        asked: What the user wrote, as the error's message is to begin.
        by_hand: Further words of the command that the message names, as `--include 'test.jsonl'`.
        then: What to do with a folder that was fetched by hand.

    Returns:
        The folder.

    Raises:
        BadInput: If there is no network and nothing in the cache, or no such name; says how to fetch it elsewhere.
    """
    from huggingface_hub import snapshot_download

    kind = "dataset" if is_dataset else "model"
    try:
        return Path(snapshot_download(name, repo_type=kind, allow_patterns=list(patterns)))
    except Exception as error:  # the hub's errors differ between versions
        said = " ".join(str(error).split())
        words = ["--repo-type dataset"] * is_dataset + [name] + [by_hand] * bool(by_hand)
        raise BadInput(
            f"{asked} cannot be fetched from the hub ({type(error).__name__}: {said:.200}); where there is network: "
            f"hf download {' '.join(words)} --local-dir FOLDER; then {then}"
        ) from error
