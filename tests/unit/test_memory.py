"""The arithmetic of `check --memory`, against numbers worked by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from laser_verl.commands.memory_text import as_lines, as_record
from laser_verl.memory import CONTEXT, GIB, WORKSPACE, Estimate, Generation, Shape, Training, estimate

# R1-Distill-Qwen-1.5B: 28 layers of width 1536, 12 heads of 128 with 2 of keys and values, MLP of 8960.
SMALL = Shape(
    # embeddings and output head, 2 * 151,936 * 1536, and a norm of 1536
    outside=466_748_928,
    # queries 1536 * 1537, keys and values 2 * 256 * 1537, output 1536 * 1536, MLP 3 * 1536 * 8960, norms 2 * 1536
    layer=46_797_824,
    experts=0,
    layers=28,
    hidden=1536,
    query_width=1536,
    kv_heads=2,
    head_size=128,
    mlp_width=8960,
    vocabulary=151_936,
)
# R1-Distill-Qwen-7B: 28 layers of width 3584, 28 heads of 128 with 4 of keys and values, MLP of 18944.
MIDDLE = Shape(
    outside=1_089_998_336,
    layer=233_057_792,
    experts=0,
    layers=28,
    hidden=3584,
    query_width=3584,
    kv_heads=4,
    head_size=128,
    mlp_width=18_944,
    vocabulary=152_064,
)
# Qwen3-30B-A3B: 48 layers of width 2048, 32 heads of 128 with 4 of keys and values, 8 of 128 experts of 768 at work.
EXPERTS = Shape(
    outside=622_331_904,
    # queries and output 2 * 2048 * 4096, keys and values 2 * 2048 * 512, their norms 2 * 128, the choice of experts
    # 128 * 2048, norms 2 * 2048
    layer=19_140_864,
    # 128 * 3 * 2048 * 768
    experts=603_979_776,
    layers=48,
    hidden=2048,
    query_width=4096,
    kv_heads=4,
    head_size=128,
    mlp_width=8 * 768,
    vocabulary=151_936,
    routed=8,
)
TOKENS = 1024 + 16_384
FSDP = Training(engine="fsdp", gpus=8, shards=8, tokens=TOKENS, has_entropy=True)
MOE = Training(
    engine="megatron",
    gpus=32,
    tokens=TOKENS,
    tensor=4,
    expert=8,
    offloads_weights=True,
    offloads_optimizer=True,
    has_entropy=True,
)
ALONE = Generation(longest=TOKENS, share=0.7)


def sizes(found: Estimate, phase: int) -> dict[str, float]:
    return {item.name: item.size for item in found.phases[phase].items}


def test_the_sizes_add_up_to_the_published_numbers_of_parameters() -> None:
    assert [shape.parameters for shape in (SMALL, MIDDLE, EXPERTS)] == [1_777_088_000, 7_615_616_512, 30_532_122_624]


def test_fsdp_shards_fp32_weights_gradients_and_two_moments() -> None:
    update = sizes(estimate(SMALL, FSDP, ALONE, 80 * GIB), 0)
    # 4 * 1,777,088,000 / 8
    assert update["weights"] == update["gradients"] == 888_544_000
    assert update["optimizer"] == 2 * 888_544_000
    # bf16 weights, all in one copy: 2 * 1,777,088,000 / 32
    half = replace(FSDP, gpus=32, shards=32, weight_bytes=2)
    assert sizes(estimate(SMALL, half, ALONE, 80 * GIB), 0)["weights"] == 111_068_000


def test_activations_of_one_response_of_full_length() -> None:
    update = sizes(estimate(SMALL, FSDP, ALONE, 80 * GIB), 0)
    # 17,408 * 28 * 1536 * 2
    assert update["layers kept"] == 1_497_366_528
    # 2 * (8 * 1536 + 2 * (1536 + 2 * 2 * 128) + 6 * 8960) = 140,288 for each token
    assert update["layer at work"] == TOKENS * 140_288
    # 17,408 * 151,936 * 10, and * 4 without the entropy
    assert update["logits"] == 26_449_018_880
    plain = replace(FSDP, has_entropy=False)
    assert sizes(estimate(SMALL, plain, ALONE, 80 * GIB), 0)["logits"] == 10_579_607_552
    # 6 * (466,748,928 + 46,797,824) + 2 * 46,797,824
    assert update["gathered"] == 3_174_876_160
    assert "logits" not in sizes(estimate(SMALL, replace(FSDP, stores_logits=False), ALONE, 80 * GIB), 0)
    # all of each layer, half of what it takes at work
    every = sizes(estimate(SMALL, replace(FSDP, recomputes=False), ALONE, 80 * GIB), 0)
    assert every["layers kept"] == TOKENS * 28 * 70_144


@pytest.mark.parametrize(
    ("shape", "weights", "per_token", "sequences"),
    [
        # 2 * 2 * 2 heads * 128 * 28 layers; (56 GiB - 2 GiB - 3,554,176,000) / (28,672 * 17,408) = 109.05
        (SMALL, 3_554_176_000, 28_672, 109),
        # 2 * 2 * 4 heads * 128 * 28 layers; (56 GiB - 2 GiB - 15,231,233,024) / (57,344 * 17,408) = 42.8
        (MIDDLE, 15_231_233_024, 57_344, 42),
    ],
)
def test_the_cache_has_what_the_weights_leave(shape: Shape, weights: int, per_token: int, sequences: int) -> None:
    found = estimate(shape, FSDP, ALONE, 80 * GIB)
    generation = sizes(found, 1)
    assert generation["rollout weights"] == weights
    assert found.cache_per_token == per_token
    assert found.full_sequences == sequences
    assert generation["rollout weights"] + WORKSPACE + generation["KV cache"] == pytest.approx(56 * GIB)


def test_tensor_parallel_rollouts_split_weights_and_heads_but_no_head() -> None:
    def of(tensor: int) -> Estimate:
        return estimate(MIDDLE, FSDP, replace(ALONE, tensor=tensor), 80 * GIB)

    assert sizes(of(4), 1)["rollout weights"] == 15_231_233_024 / 4
    # 4 heads of keys and values over 4 GPUs, and over 8 each GPU has one just the same
    assert [of(tensor).cache_per_token for tensor in (4, 8)] == [14_336, 14_336]
    assert of(4).gpus_per_replica == 4


def test_megatron_spreads_experts_apart_from_the_rest() -> None:
    found = estimate(EXPERTS, MOE, replace(ALONE, tensor=4), 80 * GIB)
    update = sizes(found, 0)
    # (622,331,904 + 48 * 19,140,864) / 4 = 385,273,344, and 48 * 603,979,776 / 8 = 3,623,878,656
    assert update["weights"] == 2 * 4_009_152_000
    assert update["gradients"] == 4 * 4_009_152_000
    # 8 copies of what is no expert, 4 of the experts: 12 * (385,273,344 / 8 + 3,623,878,656 / 4)
    assert update["optimizer"] == 11_449_545_984
    assert "reference" not in update
    # weights, reference and optimizer
    assert found.on_host == 2 * 8_018_304_000 + 11_449_545_984
    # 17,408 * 151,936 * 14 / 4
    assert update["logits"] == 9_257_156_608
    assert [name for name in sizes(found, 1) if "training" in name] == []


def test_pipeline_stages_share_the_layers_and_the_first_keeps_more() -> None:
    training = replace(MOE, expert=1, tensor=2, pipeline=2)
    update = sizes(estimate(SMALL, training, ALONE, 80 * GIB), 0)
    # (14 * 46,797,824 + 151,936 * 1536) / 2
    assert update["weights"] == 2 * 444_271_616 == 2 * (14 * 46_797_824 + 233_373_696) // 2
    # two micro batches of 14 layers, over 2 GPUs
    assert update["layers kept"] == 1_497_366_528 / 2


def test_what_is_not_offloaded_stays_beside_the_rollout() -> None:
    stays = sizes(estimate(SMALL, FSDP, ALONE, 80 * GIB), 1)
    assert stays["weights of the training"] == 888_544_000
    assert stays["optimizer of the training"] == 1_777_088_000
    gone = estimate(SMALL, replace(FSDP, offloads_weights=True, offloads_optimizer=True), ALONE, 80 * GIB)
    assert [name for name in sizes(gone, 1) if "training" in name] == []
    # verl keeps FSDP's reference in the host's memory in any case
    assert gone.on_host == 888_544_000 * 4
    assert estimate(SMALL, replace(FSDP, has_reference=False), ALONE, 80 * GIB).on_host == 0
    # Megatron's gradient buffers and reference stay with the weights
    resident = replace(MOE, offloads_weights=False, offloads_optimizer=False)
    beside = sizes(estimate(EXPERTS, resident, ALONE, 80 * GIB), 1)
    assert beside["gradients of the training"] == 16_036_608_000
    assert beside["reference of the training"] == 8_018_304_000


def test_rollouts_apart_or_awake() -> None:
    apart = estimate(SMALL, FSDP, replace(ALONE, is_apart=True), 80 * GIB)
    assert [name for name in sizes(apart, 1) if "training" in name] == []
    awake = estimate(SMALL, FSDP, replace(ALONE, stays=True), 80 * GIB)
    assert sizes(awake, 0)["rollout engine"] == pytest.approx(56 * GIB)
    both = estimate(SMALL, FSDP, replace(ALONE, is_apart=True, stays=True), 80 * GIB)
    assert "rollout engine" not in sizes(both, 0)


def test_adapters_have_gradients_and_optimizer_and_the_model_has_not() -> None:
    # rank 32 on the seven linear maps of a layer: 32 * (2 * 2 * 1536 + 2 * (1536 + 256) + 3 * (1536 + 8960))
    adapters = 32 * (6144 + 3584 + 31_488)
    update = sizes(estimate(replace(SMALL, adapters=adapters), FSDP, ALONE, 80 * GIB), 0)
    assert update["weights"] == 888_544_000
    assert update["gradients"] == 4 * 28 * adapters / 8 == 18_464_768
    assert update["optimizer"] == 2 * 18_464_768
    # Megatron, each copy over 2 of 8 GPUs: bf16 weights of the model, fp32 gradients of 28 layers of adapters, and an
    # optimizer that 4 copies share
    megatron = Training(engine="megatron", gpus=8, tokens=TOKENS, tensor=2, has_reference=False)
    update = sizes(estimate(replace(SMALL, adapters=adapters), megatron, ALONE, 80 * GIB), 0)
    assert update["weights"] == 1_777_088_000
    assert update["gradients"] == 4 * 28 * adapters / 2 == 73_859_072
    assert update["optimizer"] == 12 * 28 * adapters / 2 / 4


def test_what_does_not_fit_is_said() -> None:
    found = estimate(MIDDLE, FSDP, ALONE, 24 * GIB)
    assert not found.fits
    assert estimate(MIDDLE, FSDP, ALONE, 80 * GIB).fits
    # 16.8 GiB for weights of 14.2, so that no sequence has room
    assert found.full_sequences == 0
    lines = list(as_lines(found))
    assert lines[0] == "memory        GiB of each GPU of 24; 7,615,616,512 parameters"
    over = (found.phases[0].total - 24 * GIB) / GIB
    assert f"{over:.1f} more than there is" in lines[1]
    assert "a replica holds 0 sequences of 17,408 tokens" in lines[-1]


def test_every_item_says_how_it_comes_about() -> None:
    found = estimate(SMALL, FSDP, ALONE, 80 * GIB)
    lines = list(as_lines(found))
    assert "    weights                             0.83  4 bytes * 1.78 billion parameters / 8 GPUs" in lines
    assert "    CUDA and NCCL                       2.00  assumed" in lines
    record = as_record(found)
    assert record["fits"] is True
    assert record["parameters"] == 1_777_088_000
    for phase in record["phases"]:
        assert phase["total"] == sum(item["size"] for item in phase["items"])
    assert record["phases"][0]["items"][-1] == {"name": "CUDA and NCCL", "size": CONTEXT, "how": "assumed"}
