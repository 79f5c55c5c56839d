"""Rollouts that end earlier than ``data.max_response_length``, where a method's schedule says so.

verl has one response length for a whole run. Our trainer puts the limit of the step beside each training prompt, and
this agent loop hands it to the engine with the request; validation prompts carry none.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

from tensordict import TensorDict
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from laser_verl.core import guarded
from laser_verl.core.checks import positive_int
from laser_verl.core.framework import Method
from laser_verl.verl_ext.agent_loops import LIMITED, SEEDED
from laser_verl.verl_ext.columns import DATA_SOURCE
from laser_verl.verl_ext.layout import MAX_TOKENS, optional_field

logger = logging.getLogger(__name__)

# None: a row that names no agent loop
_KEEP_LIMITS = (None, LIMITED, SEEDED)


class LimitedAgentLoop(SingleTurnAgentLoop):
    """verl's single-turn agent loop with a limit on the response of each prompt that carries one."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """Generate one response; ``sampling_params`` is shared by the group, so it is copied."""
        if kwargs.get(MAX_TOKENS):
            sampling_params = {**sampling_params, "max_tokens": int(kwargs[MAX_TOKENS])}
        return await super().run(sampling_params, **kwargs)


def row_limits(batch: TensorDict, method: Method, step: int) -> list[int]:
    """The longest response that a step's rollout allows each prompt.

    Args:
        batch: B prompts as they go to the agent loops.
        method: whose limits they are; each prompt has that of the method of its data source.
        step: the training step.

    Returns:
        Tokens, [B]; 0 where the method leaves it to the config, or the row names an agent loop that knows no limit.

    Raises:
        ValueError: a data source has no method, or a method's limit is no positive number of tokens.
    """
    sources = [str(source) for source in optional_field(batch, DATA_SOURCE)]
    limits = {source: _limit(method.part_of(source), step) for source in dict.fromkeys(sources)}
    loops = optional_field(batch, "agent_name")
    for loop in dict.fromkeys(loop for loop in loops if loop not in _KEEP_LIMITS):
        warn_of(loop)
    rows = zip(sources, loops, strict=True)
    return [limits[source] if loop in _KEEP_LIMITS else 0 for source, loop in rows]


def _limit(method: Method, step: int) -> int:
    with guarded.naming(method, "rollout_limit"):
        limit = method.rollout_limit(step)
        return 0 if limit is None else positive_int(f"rollout_limit({step})", limit, "number of tokens", 4096)


@functools.cache
def warn_of(loop: str) -> None:
    """Say once that rows name an agent loop that knows no limit."""
    logger.warning(
        "laser_verl: rows with agent_name=%r run up to data.max_response_length, since that agent loop knows no limit "
        "of the method; leave the column out, or write %s there",
        loop,
        LIMITED,
    )
