"""A pass over the monitor set: its prompts through verl's agent loops, and back out of the TransferQueue."""

from __future__ import annotations

import inspect
import uuid
from typing import Any

import numpy as np
import transfer_queue as tq
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils import tensordict_utils as tu
from verl.utils.dataset.rl_dataset import collate_fn

from laser_verl.verl_ext.monitor import Monitor
from laser_verl.verl_ext.seeded_rollout import MONITOR

_PARTITION = "train"
_SECONDS = 2.0


class _OwnGroups(ReplayBuffer):
    """verl's replay buffer, which waits for the groups that it is told and leaves all others alone."""

    uids: frozenset[str] = frozenset()

    def _sampleable_terminal_keys(self, *args: Any, **kwargs: Any) -> set[str]:
        return super()._sampleable_terminal_keys(*args, **kwargs) & self.uids


def answer(monitor: Monitor, trainer: PPOTrainer) -> KVBatchMeta:
    """Let the model answer the set with the sampling of the training.

    Nothing else is touched: the prompts of the training that are under way go on, and stay where they are.

    Args:
        monitor: the set.
        trainer: verl's, between two steps, its engine awake.

    Returns:
        The responses in the TransferQueue, to be cleared by the caller.
    """
    batch = collate_fn(monitor.prompts())
    uids = [str(uuid.uuid4()) for _ in monitor.numbers]
    batch["uid"] = np.array(uids, dtype=object)
    batch[MONITOR] = np.array([True] * len(uids), dtype=object)
    prompts = tu.get_tensordict(batch)
    tu.assign_non_tensor_data(prompts, "global_steps", trainer.global_steps)
    tags = [{"is_prompt": True, "status": "pending", "global_steps": trainer.global_steps} for _ in uids]
    tq.kv_batch_put(keys=uids, partition_id=_PARTITION, tags=tags)
    trainer.agent_loop_manager.generate_sequences(prompts)
    waiting = _OwnGroups(
        trainer_mode="sync",
        trainer_config=trainer.config,
        max_off_policy_threshold=None,
        max_off_policy_strategy="drop",
        sampler_kwargs=OmegaConf.create({}),
        poll_interval=getattr(trainer.replay_buffer, "poll_interval", _SECONDS),
    )
    waiting.uids = frozenset(uids)
    # verl's decorator would save the answers as the batch of the step, where rollouts are to be replayed
    sample = inspect.unwrap(ReplayBuffer.sample)
    answers, _ = sample(waiting, trainer.global_steps, _PARTITION, batch_size=len(uids))
    if trainer.reward_loop_manager.reward_loop_worker_handles is None:
        answers = _score_beside_actor(answers, trainer)
    return answers


def _score_beside_actor(answers: KVBatchMeta, trainer: PPOTrainer) -> KVBatchMeta:
    """Let a reward model that shares the actor's devices score; what else is being generated waits meanwhile."""
    engines, is_async = trainer.checkpoint_manager, trainer.trainer_mode != "sync"
    if is_async:
        engines.abort_replicas()
    engines.sleep_replicas()
    answers = trainer._compute_reward_colocate(answers)
    engines.update_weights(trainer.global_steps - 1)  # those of the step before
    if is_async:
        engines.resume_generation_replicas()
    return answers
