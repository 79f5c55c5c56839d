"""Which agent loop generates: verl's, ours with a seed per request, or ours with a limit per step."""

from __future__ import annotations

import logging

from omegaconf import DictConfig, OmegaConf, open_dict

from laser_verl.core.framework import Method
from laser_verl.core.mixed import limits_rollouts
from laser_verl.verl_ext.settings import Settings

logger = logging.getLogger(__name__)

LIMITED, SEEDED = "laser_limited", "laser_seeded"
"""Our agent loops, which both keep the limits of a method."""

STOCK = "single_turn_agent"
"""verl's agent loop of one turn, in whose place ours may stand."""

SINGLE_TURN, SEEDABLE = (STOCK, LIMITED, SEEDED), (STOCK, SEEDED)

AGENT_LOOP = "actor_rollout_ref.rollout.agent.default_agent_loop"
"""Key of verl's config."""

_ENGINE = "actor_rollout_ref.rollout.name"


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
    has_limits = method is not None and limits_rollouts(method)
    if settings.plugin.seeded_rollout:
        _refuse_unseedable(config)
        name = SEEDED
    elif not has_limits:
        return False
    elif reason := why_unlimited(config):
        logger.warning("laser_verl: %s", say_unlimited(settings.method, reason))
        return False
    else:
        name = SEEDED if agent.default_agent_loop == SEEDED else LIMITED
    with open_dict(config):
        agent.default_agent_loop = name
    return has_limits


def why_unlimited(config: DictConfig) -> str | None:
    """What in a config keeps rollouts from following a method's limits, with the remedy; None where nothing does.

    TensorRT-LLM's server sets ``max_tokens`` itself, whatever the request says.
    Source: https://github.com/verl-project/verl/blob/v0.9.1/verl/workers/rollout/trtllm_rollout/trtllm_async_server.py
    """
    if (engine := OmegaConf.select(config, _ENGINE)) == "trtllm":
        return f"{_ENGINE}={engine} sets the length of a request itself; give vllm or sglang to cut them at the limit"
    if (loop := OmegaConf.select(config, AGENT_LOOP)) not in SINGLE_TURN:
        return f"{AGENT_LOOP}={loop} knows no limit; leave it out to cut single-turn rollouts at the limit"
    return None


def say_unlimited(method: str, reason: str) -> str:
    """The sentence on rollouts that do not follow the limits of a method."""
    return (
        f"{method} limits the length of rollouts, which here run up to data.max_response_length and are judged by "
        f"their length afterwards: {reason}"
    )


def _refuse_unseedable(config: DictConfig) -> None:
    agent, engine = config.actor_rollout_ref.rollout.agent, config.actor_rollout_ref.rollout.name
    if engine != "vllm":
        raise ValueError(
            f"laser_verl: laser.seeded_rollout=true seeds each request, which works with "
            f"actor_rollout_ref.rollout.name=vllm; it is {engine}: leave out laser.seeded_rollout"
        )
    if agent.default_agent_loop not in SEEDABLE:
        raise ValueError(
            f"laser_verl: laser.seeded_rollout=true seeds single-turn rollouts, but the run uses "
            f"actor_rollout_ref.rollout.agent.default_agent_loop={agent.default_agent_loop}; leave one of the two out"
        )
