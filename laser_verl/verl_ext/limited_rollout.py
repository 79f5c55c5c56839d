"""Rollouts that end earlier than ``data.max_response_length``, where a method's schedule says so.

verl has one response length for a whole run. Our trainer puts the limit of the step beside each training prompt, and
this agent loop hands it to the engine with the request; validation prompts carry none.
"""

from __future__ import annotations

from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from laser_verl.verl_ext.layout import MAX_TOKENS

NAME = "laser_limited"


class LimitedAgentLoop(SingleTurnAgentLoop):
    """verl's single-turn agent loop with a limit on the response of each prompt that carries one."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """Generate one response; ``sampling_params`` is shared by the group, so it is copied."""
        if kwargs.get(MAX_TOKENS):
            sampling_params = {**sampling_params, "max_tokens": int(kwargs[MAX_TOKENS])}
        return await super().run(sampling_params, **kwargs)
