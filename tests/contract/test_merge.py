"""verl's own merger on checkpoints in verl's layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from laser_verl.commands import BadInput
from laser_verl.data import tiny_world
from laser_verl.verl_ext.merge import actor_folder, merged
from tests.unit.evaluate.test_model import checkpoint


@pytest.fixture
def actor(tmp_path: Path) -> Path:
    """An FSDP checkpoint of one rank that holds the tiny model."""
    model = tiny_world.base_path()
    actor = checkpoint(tmp_path, model, "fsdp")
    torch.save(load_file(model / "model.safetensors"), actor / "model_world_size_1_rank_0.pt")
    return actor


def test_the_merged_weights_are_those_of_the_checkpoint_in_bfloat16(actor: Path, tmp_path: Path) -> None:
    assert actor_folder(actor.parent) == actor_folder(actor) == actor
    folder = merged(actor, tmp_path / "cache")
    found, expected = load_file(folder / "model.safetensors"), load_file(tiny_world.base_path() / "model.safetensors")
    for name, weight in found.items():
        assert torch.equal(weight, expected[name].bfloat16()), name
    assert found.keys() == expected.keys()
    assert (folder / "tokenizer.json").is_file()


def test_an_unreadable_checkpoint(actor: Path, tmp_path: Path) -> None:
    file = actor / "model_world_size_1_rank_0.pt"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(BadInput, match=r"cannot be read as a checkpoint of verl's fsdp backend: .*To see all of it: "):
        merged(actor, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
