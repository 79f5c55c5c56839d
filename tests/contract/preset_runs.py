"""Compositions of the presets, and what of them is stored: `python -m tests.contract.preset_runs` stores them anew.

Under tests/data/presets, `verl_dp.yaml` and `verl_megatron.yaml` are verl's own config with each of the two engines.
Every other file holds, for each preset of a group, only what it changes of a run without it.
"""

from __future__ import annotations

import copy
import functools
import json
import shutil
import unittest.mock
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf._utils import get_yaml_loader

from laser_verl.data import tiny_world
from laser_verl.presets import folder, presets
from laser_verl.verl_ext.checks.compose import compose_config, read_arguments
from laser_verl.verl_ext.checks.report import Report

STORED = Path(__file__).parents[1] / "data" / "presets"
MODEL_CONFIGS = Path(__file__).parents[1] / "data" / "model_configs"
ANEW = "`python -m tests.contract.preset_runs` stores it anew; look at the difference before you commit it"

ROWS = 528
"""Of training data: more than the largest batch of a preset, and than the monitor set."""

PAPER = ("paper=common/laser", "model=r1_distill_qwen_1.5b")
"""What a preset of the other groups is tried with."""

# Columns that some methods read of each row.
_COLUMNS = {"budget": 2000.0, "reference_length": 3000.0, "reference_accuracy": 0.5}

# What the user has to give beside the preset.
NEEDED = {"mixed": ("reward.reward_kwargs.per_data_source={default: none}",)}


def names(group: str) -> list[str]:
    """The presets of a group."""
    return [preset.name for preset in presets(group)]


def models_and_backends() -> list[tuple[str, str]]:
    """Every model with every backend that can train it on GPUs."""
    pairs = []
    for model in names("model"):
        if model != "tiny_cpu":
            is_moe = "num_experts" in json.loads((MODEL_CONFIGS / f"{model}.json").read_text())
            pairs += [(model, backend) for backend in ("fsdp", "fsdp2", "megatron_moe" if is_moe else "megatron")]
    return pairs


def trained(model: str) -> tuple[str, ...]:
    """A model in the LASER paper's training, with shorter responses where it has no room for the paper's."""
    positions = json.loads((MODEL_CONFIGS / f"{model}.json").read_text())["max_position_embeddings"]
    return "paper=common/laser", f"model={model}", *(["data.max_response_length=3072"] if positions <= 4096 else [])


def write_data(to: Path) -> dict[str, str]:
    """Data for every preset; returns the keys of verl's config that name it."""
    rows = tiny_world.to_rows(tiny_world.make_problems(8, seed=1), "train")
    for row in rows:
        row["extra_info"] |= _COLUMNS
    train = tiny_world.write_parquet(rows * (ROWS // len(rows)), to / "train.parquet")
    val = tiny_world.write_parquet(rows[:3], to / "val.parquet")
    return {"data.train_files": str(train), "data.val_files": str(val)}


def write_hub_cache(to: Path) -> None:
    """A hub cache with each model of the presets: its real config, the tokenizer of the tiny model, and no weights."""
    for path in MODEL_CONFIGS.glob("*.json"):
        hub_id = OmegaConf.load(folder() / "model" / path.name.replace(".json", ".yaml")).actor_rollout_ref.model.path
        model = to / f"models--{hub_id.replace('/', '--')}"
        shutil.copytree(
            tiny_world.base_path(), model / "snapshots" / "0", ignore=shutil.ignore_patterns("*.safetensors", "*.py")
        )
        shutil.copyfile(path, model / "snapshots" / "0" / "config.json")
        (model / "refs").mkdir()
        (model / "refs" / "main").write_text("0")


def arguments(*overrides: str) -> list[str]:
    """Overrides on our primary config."""
    return ["--config-path", str(folder()), "--config-name", "laser_verl", *overrides]


_LOAD = yaml.load


@functools.cache
def _parsed(text: str | bytes) -> Any:
    return _LOAD(text, Loader=get_yaml_loader())  # the loader that OmegaConf has


def parsing_once() -> Any:
    """Let OmegaConf parse each file once: half of a composition is parsing the same forty files of verl."""
    return unittest.mock.patch(
        "omegaconf.omegaconf.yaml.load", lambda stream, **_: copy.deepcopy(_parsed(stream.read()))
    )


@functools.cache
def composed(*overrides: str) -> DictConfig:
    """What `main_ppo` would get without data files; not for changing."""
    report = Report()
    with parsing_once():
        config = compose_config(read_arguments(arguments(*overrides)), report)
    assert report.ok, report.mistakes
    return config


def verl(engine: str) -> DictConfig:
    """verl's own config."""
    return composed("~method", f"model_engine={engine}")


def with_engine_of(config: DictConfig, *overrides: str) -> DictConfig:
    """A run without some preset, but with the engine that it chose: engines differ in a hundred keys."""
    return composed(*overrides, *(["model_engine=megatron"] if config.model_engine == "megatron" else []))


def changes(of: DictConfig, against: DictConfig) -> dict[str, Any]:
    """What one config changes of another: nested, with values as they are written."""
    return _changes(plain(against), plain(of))


def plain(config: DictConfig) -> Any:
    """A config as it is written, interpolations and all."""
    return OmegaConf.to_container(config)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: "(left out)" for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            if inner := _changes(old, value):
                found[key] = inner
        elif key not in before or value != old:
            found[key] = value
    return found


def each() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every stored entry: file, name in it, and what it should be."""
    for name in names("method"):
        yield (
            "method",
            name,
            changes(composed(*PAPER, f"method={name}", *NEEDED.get(name, ())), composed(*PAPER, "~method")),
        )
    for group in ("sampler", "backend", "hardware"):
        for name in names(group):
            config = composed(*PAPER, f"{group}={name}")
            yield group, name, changes(config, with_engine_of(config, *PAPER))
    for name in names("model"):
        yield "model", name, changes(composed(f"model={name}"), composed())
    for model, backend in models_and_backends():
        config = composed(*trained(model), f"backend={backend}")
        yield "fit", f"{model} {backend}", changes(config, with_engine_of(config, *trained(model)))
    for name in names("paper"):
        yield "paper", name, changes(composed(f"paper={name}"), verl("dp"))


def stored(file: str) -> Any:
    """A stored composition, or the changes of a group by preset."""
    return _parsed((STORED / f"{file}.yaml").read_text(encoding="utf-8"))


def main() -> None:
    """Store everything anew."""
    files: dict[str, Any] = {f"verl_{engine}": plain(verl(engine)) for engine in ("dp", "megatron")}
    for file, name, entry in each():
        files.setdefault(file, {})[name] = entry
    STORED.mkdir(exist_ok=True)
    for file, content in files.items():
        text = yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)
        (STORED / f"{file}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
