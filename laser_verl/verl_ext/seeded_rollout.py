"""Rollouts that repeat: each request carries its own seed.

vLLM draws from one generator per engine, so two runs, or a run and its resumed half, sample different texts;
``rollout.full_determinism`` gives every request the same seed, so that the responses of a group come out equal.
Here a request is seeded by (run seed, step, prompt, rollout), and a batch is trained on in that order.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.agent_loop import register as register_agent_loop

from laser_verl.core.keys import prompt_key
from laser_verl.verl_ext.agent_loops import LIMITED, SEEDED
from laser_verl.verl_ext.layout import optional_field
from laser_verl.verl_ext.limited_rollout import LimitedAgentLoop

MONITOR = "laser_monitor"
"""Field of a prompt of the monitor set, which answers otherwise than the same prompt in training."""

if TYPE_CHECKING:
    from transfer_queue import KVBatchMeta


def request_seed(run_seed: int, step: int, key: str, rollout: int) -> int:
    """The seed of one request, a number in [0, 2^31).

    Args:
        run_seed: ``laser.seed``.
        step: training step at which the prompt was drawn.
        key: stable key of the prompt (:func:`laser_verl.core.keys.prompt_key`).
        rollout: which of the ``rollout.n`` responses, from 0.

    Returns:
        31 bits of BLAKE2b over the four values, the same on every machine.
    """
    text = f"{run_seed}|{step}|{key}|{rollout}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little") >> 1


class SeededAgentLoop(LimitedAgentLoop):
    """verl's single-turn agent loop with a seed per request. A prompt drawn twice in a step gets equal responses."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """Generate one response; ``sampling_params`` is shared by the group, so it is copied."""
        reward_model = kwargs.get("reward_model") or {}
        key = prompt_key(kwargs.get("data_source"), kwargs["raw_prompt"], reward_model.get("ground_truth"))
        run_seed = int((self.config.get("laser") or {}).get("seed", 0))
        if kwargs.get(MONITOR):
            key = f"{MONITOR} {key}"
        seed = request_seed(run_seed, int(kwargs["global_steps"]), key, int(kwargs["session_id"]))
        return await super().run({**sampling_params, "seed": seed}, **kwargs)


def sort_rows(batch: KVBatchMeta) -> None:
    """Put the rows of a batch in the order of prompt and rollout, in place.

    They come in the order of finishing, and sums of gradients depend on the order in their last bits; a few updates
    later those bits decide over a token.

    Args:
        batch: a batch in the TransferQueue, padding not added yet.
    """
    # verl's older trainers import the agent loop too, and do without this package
    import transfer_queue as tq

    fields = ["data_source", "raw_prompt", "reward_model"]
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
    golds = [(row or {}).get("ground_truth") for row in optional_field(data, "reward_model")]
    prompts = zip(optional_field(data, "data_source"), list(data["raw_prompt"]), golds, strict=True)
    places = [
        (prompt_key(*prompt), *map(int, key.rsplit("_", 2)[1:]))
        for prompt, key in zip(prompts, batch.keys, strict=True)
    ]
    batch.reorder(sorted(range(len(places)), key=places.__getitem__))


def register() -> list[str]:
    """Add the agent loops to verl's registry."""
    register_agent_loop(SEEDED)(SeededAgentLoop)
    register_agent_loop(LIMITED)(LimitedAgentLoop)
    return [SEEDED, LIMITED]


REGISTERED = register()
