"""`laser-verl check --memory`: what the run takes of each GPU, from its config and the model's `config.json`."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from laser_verl.memory import GIB, Estimate, Generation, Shape, Training, estimate
from laser_verl.verl_ext.checks.host import quiet
from laser_verl.verl_ext.checks.model import model_folder
from laser_verl.verl_ext.checks.report import Report, one_line

_ACTOR, _ROLLOUT, _MODEL = (f"actor_rollout_ref.{part}" for part in ("actor", "rollout", "model"))
_PATH = f"{_MODEL}.path"
_LAYER = re.compile(r"\.layers\.(\d+)\.")


def check_memory(config: DictConfig, gpu_gib: float, report: Report) -> Estimate | None:
    """Add up what the run takes of each GPU; loads no weights.

    Args:
        config: The composed config, checked already.
        gpu_gib: Memory of a GPU, GiB.
        report: Takes what keeps the sums from being made.

    Returns:
        The sums; None where the model's `config.json` or the engine is not known.
    """
    shape = _model_shape(config, report)
    if shape is None:
        return None
    training = read_training(config)
    if training is None:
        strategy = OmegaConf.select(config, f"{_ACTOR}.strategy")
        report.add(
            "--memory", f"--memory knows fsdp, fsdp2 and megatron, not {_ACTOR}.strategy={strategy}; leave it out"
        )
        return None
    return estimate(shape, training, read_generation(config), gpu_gib * GIB)


def _model_shape(config: DictConfig, report: Report) -> Shape | None:
    from transformers import AutoConfig

    key = f"{_MODEL}.hf_config_path" if OmegaConf.select(config, f"{_MODEL}.hf_config_path") else _PATH
    path = OmegaConf.select(config, key)
    folder = model_folder(key, path, Report())
    if folder is None or not (Path(folder) / "config.json").is_file():
        report.add(
            "--memory",
            f"--memory needs the config.json of {key}={path}, which is neither in such a folder nor in the local hub "
            f"cache; fetch it where there is a network, e.g. `hf download {path} config.json`, or give a folder",
        )
        return None
    try:
        with quiet():
            return read_shape(AutoConfig.from_pretrained(folder), _lora_rank(config))
    except Exception as error:  # a broken or unknown config fails in many ways
        said = f"{type(error).__name__}: {one_line(str(error))[:300]}"
        report.add("--memory", f"--memory cannot read {folder}/config.json ({said}); give a causal language model")
        return None


def read_shape(hf_config: Any, lora_rank: int = 0) -> Shape:
    """Count a model's parameters on torch's meta device, which holds no numbers.

    Args:
        hf_config: Its Hugging Face config.
        lora_rank: Rank of the adapters on every linear map of the layers; 0 for none.

    Returns:
        The sizes; the fullest layer stands for all, should they differ.
    """
    import torch
    from transformers import AutoModelForCausalLM

    text = getattr(hf_config, "text_config", None) or hf_config
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(hf_config)
    outside, layers = 0, defaultdict(lambda: [0, 0, 0])
    for name, parameter in model.named_parameters():
        found = _LAYER.search(name)
        if found is None:
            outside += parameter.numel()
            continue
        sizes = layers[int(found[1])]
        is_expert = ".experts." in name
        sizes[is_expert] += parameter.numel()
        if parameter.dim() == 2 and not is_expert:
            sizes[2] += lora_rank * sum(parameter.shape)
    dense, experts, adapters = max(layers.values())
    routed = getattr(text, "num_experts_per_tok", 0) if experts else 0
    return Shape(
        outside=outside,
        layer=dense,
        experts=experts,
        layers=len(layers),
        hidden=text.hidden_size,
        query_width=text.num_attention_heads * _head_size(text),
        kv_heads=text.num_key_value_heads,
        head_size=_head_size(text),
        mlp_width=routed * text.moe_intermediate_size if routed else text.intermediate_size,
        vocabulary=text.vocab_size,
        routed=routed,
        adapters=adapters,
    )


def _head_size(text: Any) -> int:
    return getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads


def read_training(config: DictConfig) -> Training | None:
    """How a run trains its actor; None with an engine whose memory is not known here."""
    actor = config.actor_rollout_ref.actor
    tokens = actor.ppo_max_token_len_per_gpu
    gpus = config.trainer.nnodes * config.trainer.n_gpus_per_node
    common = {
        "gpus": gpus,
        "has_reference": bool(config.algorithm.use_kl_in_reward or actor.use_kl_loss) and not _lora_rank(config),
        "has_entropy": actor.entropy_coeff != 0 or bool(actor.calculate_entropy),
        "stores_logits": not config.actor_rollout_ref.model.use_fused_kernels,
    }
    if actor.strategy in ("fsdp", "fsdp2"):
        engine, split = actor.fsdp_config, actor.ulysses_sequence_parallel_size
        return Training(
            engine="fsdp",
            tokens=tokens if actor.use_dynamic_bsz else _fixed_tokens(config) // split,
            shards=gpus if engine.fsdp_size < 0 else min(engine.fsdp_size, gpus),
            weight_bytes=4 if engine.model_dtype in ("fp32", "float32") else 2,
            offloads_weights=bool(engine.param_offload or engine.offload_policy),
            offloads_optimizer=bool(engine.optimizer_offload or engine.offload_policy),
            recomputes=bool(config.actor_rollout_ref.model.enable_gradient_checkpointing),
            **common,
        )
    if actor.strategy != "megatron":
        return None
    engine, split = actor.megatron, actor.megatron.context_parallel_size
    return Training(
        engine="megatron",
        tokens=tokens if actor.use_dynamic_bsz else _fixed_tokens(config) // split,
        tensor=engine.tensor_model_parallel_size,
        pipeline=engine.pipeline_model_parallel_size,
        expert=engine.expert_model_parallel_size,
        expert_tensor=engine.expert_tensor_parallel_size or engine.tensor_model_parallel_size,
        offloads_weights=bool(engine.param_offload),
        offloads_optimizer=bool(engine.optimizer_offload),
        recomputes=engine.override_transformer_config.get("recompute_granularity") == "full",
        **common,
    )


def read_generation(config: DictConfig) -> Generation:
    """How a run generates its responses."""
    rollout = config.actor_rollout_ref.rollout
    longest = rollout.prompt_length + rollout.response_length
    return Generation(
        longest=min(longest, rollout.max_model_len or longest),
        tensor=rollout.tensor_model_parallel_size,
        pipeline=rollout.pipeline_model_parallel_size,
        share=rollout.gpu_memory_utilization,
        sequences=rollout.max_num_seqs,
        is_apart=not config.actor_rollout_ref.hybrid_engine,
        stays=not rollout.free_cache_engine,
    )


def _fixed_tokens(config: DictConfig) -> int:
    """Tokens of a micro batch of a fixed number of rows, all of full length."""
    rollout = config.actor_rollout_ref.rollout
    return int(
        config.actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu * (rollout.prompt_length + rollout.response_length)
    )


def _lora_rank(config: DictConfig) -> int:
    """The first rank that is above 0 counts, as verl has it."""
    ranks = (OmegaConf.select(config, f"{_MODEL}.{name}") for name in ("lora.rank", "lora_rank"))
    return next((int(rank) for rank in ranks if rank), 0)
