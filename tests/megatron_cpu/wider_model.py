"""The trained tiny reasoner with four heads in place of three, so that two workers can share each layer."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

HEADS = 4


def widen(folder: Path) -> None:
    """Rewrite a folder with the tiny reasoner: one more head, as many more hidden units, all of them zero.

    The model computes what it did before. RMSNorm divides by the root of a mean, which has the same sum over more units
    now: with `r = old units / new units`, weights of norms times `sqrt(r)` and the
    epsilon times `r` make up for it.
    """
    config = json.loads((folder / "config.json").read_text())
    old = config["hidden_size"]
    new = old // config["num_attention_heads"] * HEADS
    ratio = old / new
    weights = {
        name: _padded(name, weight, old, new) for name, weight in load_file(folder / "model.safetensors").items()
    }
    for name in weights:
        if name.endswith("norm.weight"):
            weights[name] *= ratio**0.5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config |= {"hidden_size": new, "num_attention_heads": HEADS, "num_key_value_heads": HEADS}
    config["rms_norm_eps"] *= ratio
    (folder / "config.json").write_text(json.dumps(config))


def _padded(name: str, weight: torch.Tensor, old: int, new: int) -> torch.Tensor:
    """Zeros in each dimension that is as long as the hidden state; ones in norms, where nothing arrives anyway."""
    wide = torch.full([new if size == old else size for size in weight.shape], float(name.endswith("norm.weight")))
    wide[tuple(slice(size) for size in weight.shape)] = weight
    return wide
