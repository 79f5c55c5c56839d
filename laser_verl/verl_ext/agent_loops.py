"""Which agent loop generates: verl's, ours with a seed per request, or ours with a limit per step."""

from __future__ import annotations

import logging

from omegaconf import DictConfig, open_dict

from laser_verl.core.framework import Method
from laser_verl.verl_ext import limited_rollout, seeded_rollout
from laser_verl.verl_ext.settings import Settings

logger = logging.getLogger(__name__)

_STOCK = "single_turn_agent"


def choose_agent_loop(config: DictConfig, settings: Settings, method: Method | None = None) -> bool:
    """Make our agent loop the default one where the run needs it.

    Args:
        config: the run's config, changed in place.
        settings: what it says to us.
        method: whose limits the rollouts are to keep; None under a trainer that does not pass them on.

    Returns:
        Whether rollouts keep the method's limits.

    Raises:
        ValueError: rollouts are to be seeded, and the config names an agent loop of its own, or not vLLM.
    """
    agent = config.actor_rollout_ref.rollout.agent
    if settings.plugin.seeded_rollout:
        _refuse_unseedable(config)
        name = seeded_rollout.NAME
    elif method is None or method.rollout_limit(0) is None:
        return False
    elif agent.default_agent_loop in (_STOCK, limited_rollout.NAME):
        name = limited_rollout.NAME
    else:
        logger.warning(
            "laser_verl: %s has a limit per step for rollouts, which the agent loop %s does not know; they run up to "
            "data.max_response_length",
            settings.method,
            agent.default_agent_loop,
        )
        return False
    with open_dict(config):
        agent.default_agent_loop = name
    return method is not None


def _refuse_unseedable(config: DictConfig) -> None:
    agent, engine = config.actor_rollout_ref.rollout.agent, config.actor_rollout_ref.rollout.name
    if engine != "vllm":
        raise ValueError(
            f"laser_verl: laser.seeded_rollout=true seeds each request, which works with "
            f"actor_rollout_ref.rollout.name=vllm; it is {engine}: leave out laser.seeded_rollout"
        )
    if agent.default_agent_loop not in (_STOCK, seeded_rollout.NAME):
        raise ValueError(
            f"laser_verl: laser.seeded_rollout=true seeds single-turn rollouts, but the run uses "
            f"actor_rollout_ref.rollout.agent.default_agent_loop={agent.default_agent_loop}; leave one of the two out"
        )
