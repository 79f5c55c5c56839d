"""Sizes that decide what a training run takes of a GPU, and the sums of it."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder; parameters are exact numbers."""

    outside: int
    """Parameters outside the layers: embeddings, output head unless tied, last norm."""

    layer: int
    """Parameters of a layer that are no experts."""

    experts: int
    """Parameters of all experts of a layer together; 0 in a dense model."""

    layers: int
    hidden: int
    query_width: int
    """Attention heads times their size."""

    kv_heads: int
    head_size: int
    mlp_width: int
    """Width of a layer's MLP, or of those experts together that work on a token."""

    vocabulary: int
    routed: int = 0
    """Experts that work on a token; 0 in a dense model."""

    adapters: int = 0
    """Trained parameters of a layer with LoRA; 0 where the model itself is trained."""

    @property
    def parameters(self) -> int:
        """All parameters but those of adapters."""
        return self.outside + self.layers * (self.layer + self.experts)


@dataclass(frozen=True)
class Training:
    """How the actor is trained."""

    engine: str
    """`fsdp` or `megatron`."""

    gpus: int
    tokens: int
    """Tokens of the largest micro batch, on one GPU."""

    shards: int = 1
    """FSDP: GPUs that share a copy of the parameters."""

    tensor: int = 1
    """Megatron: GPUs that share a layer."""

    pipeline: int = 1
    """Megatron: groups of GPUs with some of the layers each."""

    expert: int = 1
    """Megatron: GPUs that share the experts of a layer."""

    expert_tensor: int = 1
    """Megatron: GPUs that share an expert."""

    weight_bytes: int = 4
    """FSDP: bytes of a stored parameter."""

    offloads_weights: bool = False
    offloads_optimizer: bool = False
    has_reference: bool = True
    has_entropy: bool = False
    """The loss has the entropy in it."""

    recomputes: bool = True
    """Keeps only the input of each layer."""

    stores_logits: bool = True
    """False with fused kernels."""


@dataclass(frozen=True)
class Generation:
    """How responses are generated."""

    longest: int
    """Tokens of the longest prompt and response together."""

    tensor: int = 1
    pipeline: int = 1
    share: float = 0.5
    """Of a GPU, for weights and KV cache."""

    sequences: int = 256
    """That a replica works on at most."""

    is_apart: bool = False
    """On GPUs of its own."""

    stays: bool = False
    """Keeps its share while the actor is trained."""


@dataclass(frozen=True)
class Item:
    """One thing that takes memory, in bytes, and the arithmetic in words."""

    name: str
    size: float
    how: str


@dataclass(frozen=True)
class Phase:
    """What is on a GPU at a time."""

    name: str
    items: tuple[Item, ...]

    @property
    def total(self) -> float:
        """Bytes."""
        return sum(item.size for item in self.items)


@dataclass(frozen=True)
class Estimate:
    """What a run takes of each GPU, in bytes."""

    gpu: float
    parameters: int
    phases: tuple[Phase, ...]
    on_host: float
    """For each GPU, what waits in the host's memory."""

    cache_per_token: float
    """Keys and values of a token, on each GPU of a replica."""

    longest: int
    """Tokens of the longest prompt and response together."""

    full_sequences: int
    """Sequences of this length whose keys and values fit at a time, in one replica."""

    gpus_per_replica: int
    sequences: int
    """That a replica works on at most."""

    @property
    def fits(self) -> bool:
        """Whether every phase fits, and a sequence of full length."""
        return self.full_sequences > 0 and all(phase.total <= self.gpu for phase in self.phases)
