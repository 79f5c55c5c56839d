"""Write the tables of memory.md: `python docs/make_memory.py`. Needs verl and transformers, and no weights.

The models' `config.json` are those of tests/data/model_configs, since nothing is fetched.
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from laser_verl.commands.memory_text import as_lines
from laser_verl.memory import GIB, Estimate, estimate
from laser_verl.presets import folder
from laser_verl.verl_ext.checks.compose import compose_config, read_arguments
from laser_verl.verl_ext.checks.memory import read_generation, read_shape, read_training
from laser_verl.verl_ext.checks.report import Report

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER / "memory.md"
MODELS = FOLDER.parent / "tests" / "data" / "model_configs"

_GPU = 80 * GIB
_NODES = (1, 2, 4, 16)
_GPUS_PER_NODE = 8

# What each model is trained with; FSDP2 takes as much as FSDP.
_PAIRS = {
    "r1_distill_qwen_1.5b": ("fsdp", "megatron"),
    "qwen3_4b": ("fsdp", "megatron"),
    "r1_distill_qwen_7b": ("fsdp", "megatron"),
    "r1_distill_llama_8b": ("fsdp", "megatron"),
    "r1_distill_qwen_32b": ("fsdp", "megatron"),
    "qwen3_30b_a3b": ("fsdp", "megatron_moe"),
}

_pages = runpy.run_path(str(FOLDER / "pages.py"))


def page(text: str) -> str:
    """The page with its tables as they should be."""
    return str(_pages["filled"](text, PARTS))


def _estimate(model: str, backend: str, nodes: int) -> Estimate:
    report = Report()
    overrides = ("paper=common/laser", f"model={model}", f"backend={backend}", f"hardware={nodes}x{_GPUS_PER_NODE}")
    arguments = ("--config-path", str(folder()), "--config-name", "laser_verl", *overrides)
    config = compose_config(read_arguments(arguments), report)
    assert config is not None
    assert report.ok, report.mistakes
    training = read_training(config)
    assert training is not None
    fields: dict[str, Any] = json.loads((MODELS / f"{model}.json").read_text(encoding="utf-8"))
    return estimate(read_shape(AutoConfig.for_model(**fields)), training, read_generation(config), _GPU)


def _survey() -> str:
    head = ("model", "backend", *(f"{nodes}x{_GPUS_PER_NODE}" for nodes in _NODES), "host, 1x8", "sequences")
    return str(_pages["table"](head, _survey_rows()))


def _survey_rows() -> Iterator[tuple[str, ...]]:
    for model, backends in _PAIRS.items():
        for backend in backends:
            found = [_estimate(model, backend, nodes) for nodes in _NODES]
            cells = [" / ".join(f"{phase.total / GIB:.0f}" for phase in each.phases) for each in found]
            shown = [cell if each.fits else f"**{cell}**" for cell, each in zip(cells, found, strict=True)]
            gpus = f" on {found[0].gpus_per_replica} GPUs" if found[0].gpus_per_replica > 1 else ""
            host = f"{_GPUS_PER_NODE * found[0].on_host / GIB:.0f}"
            yield f"`{model}`", f"`{backend}`", *shown, host, f"{found[0].full_sequences}{gpus}"


def _example() -> str:
    return "\n".join(("```", *as_lines(_estimate("r1_distill_qwen_1.5b", "fsdp", 1)), "```"))


PARTS: dict[str, Callable[[], str]] = {"survey": _survey, "example": _example}


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
