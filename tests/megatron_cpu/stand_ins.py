"""What of megatron-core and mbridge needs TransformerEngine, Apex or an accelerator, in torch's own operations."""

from __future__ import annotations

from itertools import pairwise
from types import ModuleType
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention


def attend_with_torch(module: ModuleType) -> None:
    """`DotProductAttention`: it knows no packed sequences and fuses mask and softmax in a CUDA kernel."""

    def attend(self: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        # [sequence, batch, heads, head] to [sequence, batch, heads * head]
        q, k, v = (tensor.permute(1, 2, 0, 3) for tensor in (query, key, value))
        grouped = q.shape[1] != k.shape[1]
        out = scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.softmax_scale, enable_gqa=grouped)
        return out.permute(2, 0, 1, 3).flatten(2)

    def forward(
        self: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        attn_mask_type: Any = None,
        attention_bias: torch.Tensor | None = None,
        packed_seq_params: Any = None,
    ) -> torch.Tensor:
        if packed_seq_params is None:  # padding is on the right: it reaches no row that counts
            return attend(self, query, key, value)
        padded = packed_seq_params.cu_seqlens_q_padded
        bounds = (packed_seq_params.cu_seqlens_q if padded is None else padded).tolist()
        rows = [slice(start, end) for start, end in pairwise(bounds) if end > start]
        return torch.cat([attend(self, *(t[row].unsqueeze(1) for t in (query, key, value)))[:, 0] for row in rows])

    module.DotProductAttention.forward = forward


def norm_with_torch(module: ModuleType) -> None:
    """`WrappedTorchNorm`: refuses sequence parallelism, although torch's norms only lack the mark on gradients."""

    def new(cls: type, config: Any, hidden_size: int, eps: float = 1e-5, **unused: Any) -> torch.nn.Module:
        kind = torch.nn.RMSNorm if config.normalization == "RMSNorm" else torch.nn.LayerNorm
        norm = kind(hidden_size, eps=eps)
        for parameter in norm.parameters():  # Megatron adds up the gradients of what is marked
            parameter.sequence_parallel = config.sequence_parallel
        return norm

    module.WrappedTorchNorm.__new__ = staticmethod(new)


def seed_the_processor(module: ModuleType) -> None:
    """`tensor_parallel.random` calls torch's C functions for the generator of a CUDA device."""
    module._get_cuda_rng_state = lambda *args, **kwargs: torch.get_rng_state()
    module._set_cuda_rng_state = lambda state, *args, **kwargs: torch.set_rng_state(state)


def bind_missing_kernel(module: ModuleType) -> None:
    """`moe_utils` reads a name at import that it binds only where TransformerEngine is installed."""
    module.te_general_gemm = None


def bridge_to_local_layers(module: ModuleType) -> None:
    """`mbridge.core.llm_bridge` asks for TransformerEngine's layers; megatron-core's own know RMSNorm by torch."""
    original = module.get_gpt_decoder_block_spec

    def get_gpt_decoder_block_spec(config: Any, use_transformer_engine: bool = True, **rest: Any) -> Any:
        return original(config, use_transformer_engine=False, normalization=config.normalization, **rest)

    module.get_gpt_decoder_block_spec = get_gpt_decoder_block_spec


def name_local_norms(module: ModuleType) -> None:
    """`mbridge.core.bridge` knows norms as parts of TransformerEngine's linear layers; locally they stand alone."""
    original = module.Bridge._weight_name_mapping_mcore_to_hf

    def mapping(self: Any, name: str) -> list[str]:
        name = name.replace(".input_layernorm.weight", ".self_attention.linear_qkv.layer_norm_weight")
        if not any("pre_mlp_layernorm" in known for known in self._MLP_MAPPING):
            name = name.replace(".pre_mlp_layernorm.weight", ".mlp.linear_fc1.layer_norm_weight")
        return original(self, name)

    module.Bridge._weight_name_mapping_mcore_to_hf = mapping
