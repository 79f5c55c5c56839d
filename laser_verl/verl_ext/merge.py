"""Checkpoints of verl as Hugging Face folders, through verl's own model merger.

The merger of FSDP checkpoints writes bfloat16, whatever the training held.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from laser_verl.commands import BadInput, CommandError

_FSDP, _MEGATRON = "fsdp", "megatron"
# where verl keeps config and tokenizer, and the weights as well if checkpoint.save_contents has hf_model
_HUGGINGFACE = {_FSDP: Path("huggingface"), _MEGATRON: Path("model") / "huggingface"}
_MARK = {_FSDP: Path("fsdp_config.json"), _MEGATRON: Path("model") / "huggingface" / "config.json"}


def actor_folder(path: Path) -> Path | None:
    """The folder of the actor in a checkpoint of verl.

    Args:
        path: `global_step_N`, or its `actor`.

    Returns:
        The folder; None where the path is no checkpoint of verl.
    """
    for folder in (path / "actor", path):
        if _backend(folder) is not None:
            return folder
    return None


def merged(actor: Path, cache: Path) -> Path:
    """The weights of a checkpoint as a Hugging Face folder.

    Args:
        actor: What `actor_folder` gave.
        cache: Folder for merged checkpoints; one that was merged before is found there.

    Returns:
        A folder with config, tokenizer and weights: in the checkpoint itself where verl saved them so.

    Raises:
        BadInput: If verl's merger cannot read the checkpoint, or what it holds is a LoRA adapter.
        CommandError: If the cache cannot be written.
    """
    backend = _backend(actor)
    assert backend is not None, actor
    huggingface = actor / _HUGGINGFACE[backend]
    if any(huggingface.glob("*.safetensors")):
        return huggingface
    if (actor / "lora_adapter").is_dir() or (actor / "lora_train_meta.json").is_file():
        raise BadInput(
            f"{actor} holds a LoRA adapter, which verl's merger leaves apart from the weights; merge them with peft's "
            "merge_and_unload, and give the folder"
        )
    target = cache / f"{actor.parent.name}-{_state(actor)}"
    if not target.is_dir():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache, prefix=".merging-") as scratch:
                made = Path(scratch) / "model"
                _run_merger(actor, backend, huggingface, made)
                if target.is_dir():  # another process was faster
                    return target
                os.replace(made, target)
        except OSError as error:
            raise CommandError(
                f"{cache} cannot be written: {error.strerror}; name a folder with room by XDG_CACHE_HOME"
            ) from error
    return target


def _backend(folder: Path) -> str | None:
    return next((backend for backend, mark in _MARK.items() if (folder / mark).is_file()), None)


def _state(actor: Path) -> str:
    """12 digits that change with the files of a checkpoint."""
    files = sorted(path for path in actor.rglob("*") if path.is_file())
    state = [(str(path.relative_to(actor)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.blake2b(json.dumps([str(actor.resolve()), state]).encode(), digest_size=6).hexdigest()


def _run_merger(actor: Path, backend: str, huggingface: Path, target: Path) -> None:
    command = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", backend]
    command += ["--local_dir", str(actor), "--target_dir", str(target)]
    if backend == _MEGATRON:
        command += ["--use_cpu_initialization", *(["--tie-word-embedding"] if _is_tied(huggingface) else [])]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode != 0 or not any(target.glob("*.safetensors")):
        shutil.rmtree(target, ignore_errors=True)
        said = ([line.strip() for line in done.stderr.splitlines() if line.strip()] or ["no message"])[-1]
        remedy = "install it" if said.startswith("ModuleNotFoundError") else "give one that was saved whole"
        raise BadInput(
            f"{actor} cannot be read as a checkpoint of verl's {backend} backend: {said:.300}; {remedy}. To see all of "
            f"it: {' '.join(command)}"
        )


def _is_tied(huggingface: Path) -> bool:
    path = huggingface / "config.json"
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")).get("tie_word_embeddings"))
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(f"{path} cannot be read: {error}; give a checkpoint that was saved whole") from error
