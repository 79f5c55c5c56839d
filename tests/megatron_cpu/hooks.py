"""Loaded with verl by every process of a run (`VERL_USE_EXTERNAL_MODULES`): what Megatron's engine needs on CPU."""

from __future__ import annotations

import torch
import wrapt

from tests.megatron_cpu import source, stand_ins

source.rewrite()
# Functions that were decorated for the compiler before.
torch.compiler.set_stance("force_eager")

for _module, _change in {
    "megatron.core.transformer.dot_product_attention": stand_ins.attend_with_torch,
    "megatron.core.transformer.torch_norm": stand_ins.norm_with_torch,
    "megatron.core.tensor_parallel.random": stand_ins.seed_the_processor,
    "megatron.core.transformer.moe.moe_utils": stand_ins.bind_missing_kernel,
    "mbridge.core.llm_bridge": stand_ins.bridge_to_local_layers,
    "mbridge.core.bridge": stand_ins.name_local_norms,
}.items():
    wrapt.when_imported(_module)(_change)
