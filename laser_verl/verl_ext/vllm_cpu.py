"""What vLLM needs on the CPU platform; loaded by vLLM in each of its processes (``vllm.general_plugins``)."""

from __future__ import annotations

import os
from typing import Any


def register() -> None:
    """Keep the plain weights of linear layers, so that verl can write new ones after an update.

    vLLM's CPU build packs linear weights for its matrix kernel and drops the originals, after which verl's in-place
    weight update fails with a shape error. verl packs again after each update, so the new weights are the ones used.
    Only the embedding keeps them today: https://github.com/vllm-project/vllm/blob/main/vllm/model_executor/layers/
    Remove when: ``UnquantizedLinearMethod.process_weights_after_loading`` stops dropping weights on CPU.
    """
    if os.environ.get("VERL_PLATFORM", "").strip().lower() != "cpu":
        return
    from vllm.model_executor.layers import utils

    packer = utils.dispatch_cpu_unquantized_gemm
    if getattr(packer, "keeps_weights", False):
        return

    def keep_weights(layer: Any, remove_weight: bool) -> None:
        packer(layer, remove_weight=False)

    keep_weights.keeps_weights = True  # type: ignore[attr-defined]
    utils.dispatch_cpu_unquantized_gemm = keep_weights
