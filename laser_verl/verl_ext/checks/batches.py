"""Batch sizes: what verl's trainer and workers assert later, when the models are loaded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from laser_verl.verl_ext.checks.report import Report, shown, whole

_ACTOR, _ROLLOUT, _REF = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.ref"
_TRAIN, _MINI = "data.train_batch_size", f"{_ACTOR}.ppo_mini_batch_size"
_ROLLOUT_SIZES = ("tensor_model_parallel_size", "data_parallel_size", "pipeline_model_parallel_size")


@dataclass(frozen=True)
class _Sizes:
    train: int
    mini: int
    group: int
    num_workers: int
    data_parallel: int
    """Ranks that get different rows."""

    per_step: int
    """Prompts of one update: the training batch, or a part of it in separate_async."""


def check_batches(config: DictConfig, needs_ref: bool, needs_critic: bool, report: Report) -> None:
    """Check all batch sizes against each other.

    Args:
        config: The composed config.
        needs_ref: Whether the run has a reference policy.
        needs_critic: Whether the run has a critic.
        report: Takes the mistakes.
    """
    _check_micro_given(config, needs_ref, needs_critic, report)
    _check_tokens(config, needs_ref, needs_critic, report)
    mode = str(config.trainer.v1.trainer_mode).removeprefix("laser_")
    if mode == "separate_async":
        _check_separate(config, report)
    keys = (_TRAIN, _MINI, f"{_ROLLOUT}.n", "trainer.n_gpus_per_node", "trainer.nnodes")
    numbers = [whole(config, key, report) for key in keys]
    if None in numbers:
        return
    train, mini, group, gpus, nodes = (number or 0 for number in numbers)
    if mode == "sync":
        _check_fetches(config, train, report)
    if train < mini and not OmegaConf.select(config, f"{_ACTOR}.use_dynamic_bsz"):
        report.add(
            _TRAIN, f"{_TRAIN}={train} is below {_MINI}={mini}; lower it to at most {train}, e.g. {_MINI}={train}"
        )
        mini = train
    ranks = _data_parallel(config, gpus * nodes, report)
    if mode == "separate_async" and not config.actor_rollout_ref.get("hybrid_engine", True):
        _check_separate_ranks(config, report)
    else:
        _check_rollout_ranks(config, gpus * nodes, report)
    if ranks is None:
        return
    parts = OmegaConf.select(config, "trainer.v1.separate_async.parameter_sync_step") if mode == "separate_async" else 1
    sizes = _Sizes(train, mini, group, gpus * nodes, ranks, train // (parts or 1))
    fits = _check_update("actor", config, sizes, report)
    if needs_critic:
        fits &= _check_update("critic", config, sizes, report)
    if fits:
        _check_log_probs(config, sizes, needs_ref, needs_critic, report)


def check_rows(config: DictConfig, num_rows: int, report: Report) -> None:
    """Refuse a training batch larger than the data set, which leaves verl without a single step.

    Args:
        config: The composed config.
        num_rows: Rows to train on.
        report: Takes the mistake.
    """
    size = OmegaConf.select(config, _TRAIN)
    if isinstance(size, int) and size > num_rows:
        report.add(
            _TRAIN,
            f"{_TRAIN}={size} is above the {num_rows} rows of data.train_files, so an epoch has no step; give at most "
            f"{num_rows}, or more data",
        )


def _is_dynamic(config: DictConfig, node: str, key: str = "use_dynamic_bsz") -> bool:
    return bool(OmegaConf.select(config, f"{node}.{key}"))


def _check_micro_given(config: DictConfig, needs_ref: bool, needs_critic: bool, report: Report) -> None:
    wanted = [(_ACTOR, "ppo_micro_batch_size_per_gpu", "use_dynamic_bsz")]
    wanted.append((_ROLLOUT, "log_prob_micro_batch_size_per_gpu", "log_prob_use_dynamic_bsz"))
    if needs_ref:
        wanted.append((_REF, "log_prob_micro_batch_size_per_gpu", "log_prob_use_dynamic_bsz"))
    if needs_critic:
        wanted.append(("critic", "ppo_micro_batch_size_per_gpu", "use_dynamic_bsz"))
    for node, name, dynamic in wanted:
        if not _is_dynamic(config, node, dynamic) and OmegaConf.select(config, f"{node}.{name}") is None:
            report.add(
                f"{node}.{name}",
                f"{node}.{name} is not set; give rows per GPU, e.g. {node}.{name}=8, or {_ACTOR}.use_dynamic_bsz=true",
            )
    rollout, actor = _is_dynamic(config, _ROLLOUT, "log_prob_use_dynamic_bsz"), _is_dynamic(config, _ACTOR)
    if rollout != actor:
        report.add(
            f"{_ROLLOUT}.log_prob_use_dynamic_bsz",
            f"{_ROLLOUT}.log_prob_use_dynamic_bsz={shown(rollout)} must equal "
            f"{_ACTOR}.use_dynamic_bsz={shown(actor)}; leave the first out",
        )


def _check_tokens(config: DictConfig, needs_ref: bool, needs_critic: bool, report: Report) -> None:
    """A dynamic micro batch has to have room for the longest sequence; verl says so when there is one."""
    lengths = [whole(config, f"data.max_{part}_length", report) for part in ("prompt", "response")]
    if None in lengths:
        return
    longest = sum(length or 0 for length in lengths)
    room = OmegaConf.select(config, f"{_ROLLOUT}.max_model_len")
    longest = min(longest, room) if isinstance(room, int) else longest
    limits = [(_ACTOR, _ACTOR, "ppo"), (_ROLLOUT, _ACTOR, "log_prob")]
    limits += [(_REF, _REF, "log_prob")] * needs_ref + [("critic", "critic", "ppo")] * needs_critic
    too_small: set[int] = set()
    for node, engine, kind in limits:
        key = f"{node}.{kind}_max_token_len_per_gpu"
        if not _is_dynamic(config, node, "log_prob_use_dynamic_bsz" if kind == "log_prob" else "use_dynamic_bsz"):
            continue
        tokens, gpus = whole(config, key, report, example=longest), _gpus_of_a_sequence(config, engine)
        # log-probabilities follow the actor unless told otherwise
        if tokens and tokens * gpus < longest and tokens not in too_small:
            too_small.add(tokens)
            shared = f", which {gpus} GPUs share" if gpus > 1 else ""
            report.add(
                key,
                f"{key}={tokens} is below the {longest} tokens of the longest prompt and response{shared}; give at "
                f"least {-(-longest // gpus)}",
            )


def _gpus_of_a_sequence(config: DictConfig, engine: str) -> int:
    is_megatron = OmegaConf.select(config, f"{engine}.strategy") == "megatron"
    size = "megatron.context_parallel_size" if is_megatron else "ulysses_sequence_parallel_size"
    return max(_as_int(OmegaConf.select(config, f"{engine}.{size}")), 1)


def _check_fetches(config: DictConfig, train: int, report: Report) -> None:
    """Prompts are fetched in chunks; where verl replaces single groups, it makes them chunks of 1 itself."""
    key = "data.gen_batch_size"
    replaces = ("algorithm.filter_groups.enable", "trainer.v1.sampler.sync_refill_failed_groups")
    if not OmegaConf.select(config, key) or any(OmegaConf.select(config, switch) for switch in replaces):
        return
    size = whole(config, key, report)
    if size and train % size:
        report.add(
            key,
            f"{key}={size} must divide {_TRAIN}={train}, which is fetched in whole chunks of it; leave it out, or give "
            f"e.g. {key}={math.gcd(size, train)}",
        )


def _check_separate(config: DictConfig, report: Report) -> None:
    node = "trainer.v1.separate_async.parameter_sync_step"
    numbers = [whole(config, key, report) for key in (_TRAIN, _MINI, node)]
    if None not in numbers:
        train, mini, steps = (number or 0 for number in numbers)
        if train != mini * steps:
            report.add(
                _TRAIN,
                f"{_TRAIN}={train} must equal {node}={steps} times {_MINI}={mini} in separate_async; give "
                f"{_TRAIN}={mini * steps}",
            )
    for key in (f"{_ROLLOUT}.nnodes", f"{_ROLLOUT}.n_gpus_per_node"):
        whole(config, key, report, example=1)
    backend = f"{_ROLLOUT}.checkpoint_engine.backend"
    if OmegaConf.select(config, backend) == "naive":
        report.add(backend, f"{backend}=naive cannot reach a separate rollout; give e.g. {backend}=nccl")
    if config.reward.reward_model.enable and not config.reward.reward_model.enable_resource_pool:
        report.add(
            "reward.reward_model.enable_resource_pool",
            "reward.reward_model.enable_resource_pool=false shares GPUs that separate_async never frees; set it true",
        )


def _data_parallel(config: DictConfig, num_gpus: int, report: Report) -> int | None:
    """Ranks that get different rows; None for a backend whose layout is not known here."""
    strategy = str(OmegaConf.select(config, f"{_ACTOR}.strategy"))
    if strategy == "megatron":
        sizes = ("tensor_model_parallel_size", "pipeline_model_parallel_size", "context_parallel_size")
        names = [f"{_ACTOR}.megatron.{size}" for size in sizes]
    elif strategy in ("fsdp", "fsdp2"):
        names = [f"{_ACTOR}.ulysses_sequence_parallel_size"]
    else:
        return None
    numbers = [whole(config, name, report, example=1) for name in names]
    if None in numbers:
        return None
    product = math.prod(number or 1 for number in numbers)
    if num_gpus % product:
        report.add(
            names[0],
            f"{' times '.join(names)} = {product} must divide the {num_gpus} GPUs of trainer.n_gpus_per_node times "
            "trainer.nnodes; lower one of them",
        )
        return None
    return num_gpus // product


def _rollout_ranks(config: DictConfig, report: Report) -> int:
    """GPUs of one rollout replica."""
    numbers = [whole(config, f"{_ROLLOUT}.{size}", report, example=1) for size in _ROLLOUT_SIZES]
    return math.prod(number or 1 for number in numbers)


def _check_rollout_ranks(config: DictConfig, num_gpus: int, report: Report) -> None:
    name, product = f"{_ROLLOUT}.{_ROLLOUT_SIZES[0]}", _rollout_ranks(config, report)
    if num_gpus % product:
        report.add(
            name,
            f"{name}={OmegaConf.select(config, name)} times data and pipeline parallel sizes is {product}, which must "
            f"divide the {num_gpus} GPUs of trainer.n_gpus_per_node times trainer.nnodes; give e.g. {name}=1",
        )


def _check_separate_ranks(config: DictConfig, report: Report) -> None:
    """Without hybrid engine no replica is on the trainer's GPUs, and as many as fit are on the rollout's own."""
    name, product = f"{_ROLLOUT}.{_ROLLOUT_SIZES[0]}", _rollout_ranks(config, report)
    own = f"{_ROLLOUT}.nnodes", f"{_ROLLOUT}.n_gpus_per_node"
    numbers = [whole(config, key, report, example=1) for key in own]
    if None in numbers:
        return
    num_gpus = math.prod(number or 0 for number in numbers)
    said = f"{name}={OmegaConf.select(config, name)} times data and pipeline parallel sizes is {product}"
    if product > num_gpus:
        report.add(name, f"{said}, above the {num_gpus} GPUs of {' times '.join(own)}; give e.g. {name}=1")
    elif num_gpus % product:
        report.notes.append(
            f"{said}, so {num_gpus % product} of the {num_gpus} GPUs of {' times '.join(own)} stay idle"
        )


def _check_update(part: str, config: DictConfig, sizes: _Sizes, report: Report) -> bool:
    """One optimizer step: a mini batch over the ranks, in micro batches."""
    node = _ACTOR if part == "actor" else "critic"
    mini = sizes.mini if part == "actor" else OmegaConf.select(config, "critic.ppo_mini_batch_size")
    if not isinstance(mini, int):
        return False
    key, rows = f"{node}.ppo_mini_batch_size", mini * sizes.group
    if rows % sizes.data_parallel:
        step = sizes.data_parallel // math.gcd(sizes.data_parallel, sizes.group)
        report.add(
            key,
            f"{key}={mini} times {_ROLLOUT}.n={sizes.group} = {rows} rows must be divisible by the "
            f"{sizes.data_parallel} data-parallel ranks; give a multiple of {step}",
        )
        return False
    micro_key = f"{node}.ppo_micro_batch_size_per_gpu"
    micro = OmegaConf.select(config, micro_key)
    if _is_dynamic(config, node) or micro is None:
        return True
    return _check_divides(micro_key, micro, rows // sizes.data_parallel, f"{key} times {_ROLLOUT}.n", report)


def _check_log_probs(config: DictConfig, sizes: _Sizes, needs_ref: bool, needs_critic: bool, report: Report) -> None:
    """The whole batch over the ranks, padded by verl to whole mini batches."""
    multiple = math.lcm(sizes.data_parallel, sizes.mini * sizes.group)
    if needs_critic:
        multiple = math.lcm(multiple, config.critic.ppo_mini_batch_size * sizes.group)
    per_rank = -(-sizes.per_step * sizes.group // multiple) * multiple // sizes.data_parallel
    nodes = [_ROLLOUT, *([_REF] if needs_ref else [])]
    for node in nodes:
        key = f"{node}.log_prob_micro_batch_size_per_gpu"
        micro = OmegaConf.select(config, key)
        if micro is not None and not _is_dynamic(config, node, "log_prob_use_dynamic_bsz"):
            _check_divides(key, micro, per_rank, f"{_TRAIN} times {_ROLLOUT}.n", report)


def _check_divides(key: str, micro: object, rows: int, origin: str, report: Report) -> bool:
    if isinstance(micro, int) and not isinstance(micro, bool) and micro > 0 and rows % micro == 0:
        return True
    best = max((size for size in range(1, rows + 1) if rows % size == 0 and size <= max(_as_int(micro), 1)), default=1)
    report.add(key, f"{key}={micro} must divide the {rows} rows of a rank ({origin} over the ranks); give e.g. {best}")
    return False


def _as_int(value: object) -> int:
    return value if isinstance(value, int) else 1
