"""What a training run takes of each GPU: arithmetic on the sizes of model, batches and cluster.

Bytes are those of one GPU, the fullest where they differ. What is stored is counted; activations are estimated.
"""

from __future__ import annotations

from dataclasses import dataclass

from laser_verl.memory.sizes import GIB, Estimate, Generation, Item, Phase, Shape, Training

_BF16, _FP32 = 2, 4
# Adam's two moments; Megatron keeps the weights in fp32 beside them
_MOMENTS, _MASTER = 2 * _FP32, _FP32

CONTEXT = 2 * GIB
"""Assumed for CUDA, NCCL and gaps between allocations."""

WORKSPACE = 2 * GIB
"""Assumed for the rollout engine's activations and CUDA graphs, inside its share."""

# Bytes for each logit while the loss is computed, by whether the entropy is part of it: logits, softmax, their product
# and two gradients in bf16, or the logits and what takes their place in the backward pass; with Megatron also a copy
# of the logits, and softmax and cross-entropy in fp32.
_PER_LOGIT = {("fsdp", True): 10, ("fsdp", False): 4, ("megatron", True): 14, ("megatron", False): 8}


@dataclass(frozen=True)
class _State:
    """A part of the training that outlives an update, and where it is otherwise."""

    item: Item
    idle: str
    """`gpu`, `host` or `nowhere`."""


def estimate(shape: Shape, training: Training, generation: Generation, gpu: float) -> Estimate:
    """Add up what a run takes of each GPU.

    Args:
        shape: Sizes of the model.
        training: How the actor is trained.
        generation: How responses are generated.
        gpu: Bytes of a GPU.

    Returns:
        The sums. With 1,777,088,000 parameters on 8 GPUs under FSDP, the weights are 4 * 1,777,088,000 / 8 bytes.
    """
    states = (_of_fsdp if training.engine == "fsdp" else _of_megatron)(shape, training)
    reference = _reference(shape, training)
    context = Item("CUDA and NCCL", CONTEXT, "assumed")
    share = generation.share * gpu
    is_beside = generation.stays and not generation.is_apart
    stays = [Item("rollout engine", share, "keeps its share of the GPU")] if is_beside else []
    update = [state.item for state in states] + reference + _activations(shape, training) + stays + [context]

    rollout = _rollout(shape, generation, share)
    idle = [] if generation.is_apart else [state.item for state in states if state.idle == "gpu"] + reference
    left = [Item(f"{item.name} of the training", item.size, "not offloaded") for item in idle]
    per_token = _cache_per_token(shape, generation)
    return Estimate(
        gpu=gpu,
        parameters=shape.parameters,
        phases=(Phase("update of the actor", tuple(update)), Phase("generation", (*rollout, *left, context))),
        on_host=sum(state.item.size for state in states if state.idle == "host") + _reference_on_host(shape, training),
        cache_per_token=per_token,
        longest=generation.longest,
        full_sequences=int(rollout[-1].size // (per_token * generation.longest)),
        gpus_per_replica=generation.tensor * generation.pipeline,
        sequences=generation.sequences,
    )


def _of_fsdp(shape: Shape, training: Training) -> list[_State]:
    """Weights, gradients and optimizer, each parameter on one of the GPUs that share a copy."""
    trained, what = shape.parameters, f"{_billions(shape.parameters)} parameters"
    if shape.adapters:
        trained = shape.layers * shape.adapters
        what = f"{_billions(trained)} parameters of adapters"
    weights, gpus = training.weight_bytes * shape.parameters / training.shards, f"{training.shards} GPUs"
    gradients, moments = (
        size * trained / training.shards for size in (training.weight_bytes, 2 * training.weight_bytes)
    )
    each = f"{training.weight_bytes} bytes"
    where = "host" if training.offloads_weights else "gpu"
    return [
        _State(Item("weights", weights, f"{each} * {_billions(shape.parameters)} parameters / {gpus}"), where),
        _State(Item("gradients", gradients, f"{each} * {what} / {gpus}"), "nowhere"),
        _State(
            Item("optimizer", moments, f"2 * {each} * {what} / {gpus}"),
            "host" if training.offloads_optimizer else "gpu",
        ),
    ]


def _of_megatron(shape: Shape, training: Training) -> list[_State]:
    """The same with Megatron: bf16 weights, fp32 gradients, and an optimizer that is shared out once more."""
    dense, experts = _local(shape, training)
    local = trained = f"{_billions(dense + experts)} parameters of a GPU"
    weights = Item("weights", _BF16 * (dense + experts), f"2 bytes * {local}")
    if shape.adapters:
        dense, experts = -(-shape.layers // training.pipeline) * shape.adapters / training.tensor, 0
        trained = f"{_billions(dense)} parameters of adapters of a GPU"
    copies = training.gpus / (training.tensor * training.pipeline)
    expert_copies = training.gpus / (training.expert * training.expert_tensor * training.pipeline)
    optimizer = (_MASTER + _MOMENTS) * (dense / copies + experts / expert_copies)
    where = "host" if training.offloads_weights else "gpu"
    shared = f"{copies:g}" if not experts else f"{copies:g}, those of experts / {expert_copies:g}"
    return [
        _State(weights, where),
        # a buffer that stays as long as the weights do; it goes without a copy
        _State(
            Item("gradients", _FP32 * (dense + experts), f"4 bytes * {trained}"),
            "nowhere" if training.offloads_weights else "gpu",
        ),
        _State(
            Item("optimizer", optimizer, f"12 bytes * {trained} / {shared} copies"),
            "host" if training.offloads_optimizer else "gpu",
        ),
    ]


def _local(shape: Shape, training: Training) -> tuple[float, float]:
    """Parameters of the fullest GPU under Megatron: those that are no experts, and experts."""
    layers = -(-shape.layers // training.pipeline)
    # with several stages the first has the embeddings, the last the output head
    outside = shape.outside if training.pipeline == 1 else shape.vocabulary * shape.hidden
    return (
        (layers * shape.layer + outside) / training.tensor,
        layers * shape.experts / (training.expert * training.expert_tensor),
    )


def _reference(shape: Shape, training: Training) -> list[Item]:
    """The reference model where it is on the GPU: with FSDP verl streams it from the host's memory, layer by layer."""
    if not training.has_reference or training.engine == "fsdp" or training.offloads_weights:
        return []
    local = sum(_local(shape, training))
    return [Item("reference", _BF16 * local, f"2 bytes * {_billions(local)} parameters of a GPU")]


def _reference_on_host(shape: Shape, training: Training) -> float:
    if not training.has_reference:
        return 0.0
    if training.engine == "fsdp":
        return training.weight_bytes * shape.parameters / training.shards
    return _BF16 * sum(_local(shape, training)) if training.offloads_weights else 0.0


def _activations(shape: Shape, training: Training) -> list[Item]:
    """Estimates of what the largest micro batch takes."""
    split, tokens = training.tensor, f"{training.tokens:,} tokens"
    layers = -(-shape.layers // training.pipeline)
    at_work = _BF16 * (
        8 * shape.hidden
        + 2 * (shape.query_width + 2 * shape.kv_heads * shape.head_size)
        + 6 * shape.mlp_width
        + 2 * shape.routed * shape.hidden
    )
    # the first of several stages holds as many micro batches as there are stages
    kept, each = training.pipeline * layers, _BF16 * shape.hidden if training.recomputes else at_work / 2
    items = [
        Item("layers kept", training.tokens * kept * each / split, f"{tokens} * {kept} layers * {each:,.0f} bytes"),
        Item("layer at work", training.tokens * at_work / split, f"{tokens} * {at_work:,} bytes"),
    ]
    if training.stores_logits:
        size = _PER_LOGIT[training.engine, training.has_entropy]
        logits = training.tokens * shape.vocabulary * size / split
        items.append(Item("logits", logits, f"{tokens} * {shape.vocabulary:,} words * {size} bytes"))
    if split > 1:
        items = [Item(item.name, item.size, f"{item.how} / {split} GPUs") for item in items]
    if training.engine == "fsdp":
        unit = shape.layer + shape.experts
        gathered = (_BF16 + _FP32) * (shape.outside + unit) + _BF16 * unit
        items.append(Item("gathered", gathered, "one layer, the next, and what is outside the layers, whole"))
    return items


def _rollout(shape: Shape, generation: Generation, share: float) -> list[Item]:
    """What the rollout engine puts into its share, the KV cache last."""
    split = generation.tensor * generation.pipeline
    weights = _BF16 * shape.parameters / split
    gpus = f" / {split} GPUs" if split > 1 else ""
    room = max(share - weights - WORKSPACE, 0.0)
    return [
        Item("rollout weights", weights, f"2 bytes * {_billions(shape.parameters)} parameters{gpus}"),
        Item("rollout workspace", WORKSPACE, "assumed"),
        Item("KV cache", room, f"what is left of {generation.share:g} of the GPU"),
    ]


def _cache_per_token(shape: Shape, generation: Generation) -> float:
    heads, layers = -(-shape.kv_heads // generation.tensor), -(-shape.layers // generation.pipeline)
    return float(2 * _BF16 * heads * shape.head_size * layers)


def _billions(number: float) -> str:
    return f"{number / 1e9:.3g} billion" if number >= 1e8 else f"{number / 1e6:.3g} million"
