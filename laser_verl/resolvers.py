"""What the presets compute: OmegaConf resolvers, for `${laser_verl.NAME:...}` in a config.

They are registered wherever verl is imported, and before a config is composed for a check.
"""

from __future__ import annotations

from omegaconf import OmegaConf


def register() -> None:
    """Register our resolvers; once more does no harm.

    `${laser_verl.tokens:1024,16384}` is 17408, a prompt and response of full length, and
    `${laser_verl.tokens:1024,16384,2}` is 8704, what each of two GPUs has of them. `${laser_verl.tiny_model:}` is the
    folder of the miniature model.
    """
    OmegaConf.register_new_resolver("laser_verl.tokens", _tokens, replace=True)
    OmegaConf.register_new_resolver("laser_verl.tiny_model", _tiny_model, replace=True)


def _tokens(prompt: int, response: int, gpus: int = 1) -> int:
    given = {
        "data.max_prompt_length": prompt,
        "data.max_response_length": response,
        "actor_rollout_ref.actor.ulysses_sequence_parallel_size": gpus,
    }
    wrong = [f"{key}={value!r}" for key, value in given.items() if not isinstance(value, int) or value < 1]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} must be a whole number of at least 1")
    return -(-(prompt + response) // gpus)


def _tiny_model() -> str:
    # not at import: every process that imports verl imports this module
    from laser_verl.data.tiny_world import base_path

    return str(base_path())
