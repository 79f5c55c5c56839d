"""Our trainer modes: verl's, with whole groups shaped before the advantage step.

``laser_sync``, ``laser_colocate_async`` and ``laser_separate_async`` name them outright; naming one of our reward
managers under a stock mode puts ours in its place (``+laser.auto_mode=false`` forbids it).
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import Dataset
from omegaconf import DictConfig, open_dict
from tensordict import NonTensorData, NonTensorStack, TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY, PPOTrainer, register_trainer
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_separate_async import PPOTrainerSeparateAsync
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.debug import marked_timer

from laser_verl.core.keys import prompt_key
from laser_verl.core.registry import method_names
from laser_verl.verl_ext import advantages, seeded_rollout
from laser_verl.verl_ext.agent_loops import choose_agent_loop
from laser_verl.verl_ext.budget_dataset import use_budget_prompts
from laser_verl.verl_ext.compat import all_or_nothing, put_in_place_of
from laser_verl.verl_ext.driver import Driver, refuse_bad_rows
from laser_verl.verl_ext.dumps import dump_columns
from laser_verl.verl_ext.layout import MAX_TOKENS
from laser_verl.verl_ext.limited_rollout import row_limits
from laser_verl.verl_ext.refusals import refuse_unread_rule
from laser_verl.verl_ext.reward_row import ERROR, OWN_SCORE, SCORED_BY, SEVERAL_TURNS
from laser_verl.verl_ext.settings import names_our_manager, read_plugin, read_settings, refuse_group_method

logger = logging.getLogger(__name__)

# at either end of the data set, for its fingerprint
_ROWS_SEEN = 100


class LaserTrainer(PPOTrainer):
    """Mixin over a trainer of verl: shapes, logs, dumps and saves on the driver."""

    mode: str

    def __init__(self, config: DictConfig) -> None:
        """Check and complete the config, then build verl's trainer.

        Raises:
            ValueError: the reward manager is not one of ours, or an option is wrong; no model has been loaded yet.
        """
        if not names_our_manager(config):
            raise ValueError(
                f"laser_verl: trainer.v1.trainer_mode=laser_{self.mode} needs reward.reward_manager.name to be one of "
                f"{', '.join(method_names())}; it is {config.reward.reward_manager.name}"
            )
        with open_dict(config):
            config.trainer.v1.trainer_mode = self.mode
            config.laser = {**(config.get("laser") or {}), "shape_on_driver": True}
        self.driver = Driver(read_settings(config), config)
        self.driver.method_state()
        self._limits_rollouts = choose_agent_loop(config, self.driver.settings, self.driver.method)
        use_budget_prompts(config, self.driver.method)
        logger.info(self.driver.start_line(self.mode))
        super().__init__(config)

    def _build_replay_buffer(self) -> Any:
        buffer = super()._build_replay_buffer()
        if self.driver.settings.plugin.poll_interval is not None:
            buffer.poll_interval = self.driver.settings.plugin.poll_interval
        return buffer

    def _balance_batch(self, batch: KVBatchMeta, *args: Any, **kwargs: Any) -> KVBatchMeta:
        if self.driver.settings.plugin.seeded_rollout:
            seeded_rollout.sort_rows(batch)
        return super()._balance_batch(batch, *args, **kwargs)

    def _submit_batch_to_rollout(self, batch: TensorDict) -> int:
        if self._limits_rollouts:
            # One value per prompt: verl saves these, and not what stands for all, to go on with after a resume.
            limits = row_limits(batch, self.driver.method, self.global_steps)
            batch[MAX_TOKENS] = NonTensorStack.from_list([NonTensorData(limit) for limit in limits])
        return super()._submit_batch_to_rollout(batch)

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        with marked_timer("laser_shape", self.timing_raw):
            shaped = self.driver.shape(batch, self.global_steps)
        with advantages.given(shaped):
            batch = super()._compute_advantage(batch, metrics)
        metrics.update(self.driver.metrics(shaped))
        return batch

    def _data_fingerprint(self) -> dict[str, Any]:
        files = self.config.data.train_files
        names = [Path(str(name)).name for name in ([files] if isinstance(files, str) else files)]
        seen = {"train_files": names, "train_rows": len(self.train_dataset)}
        prompts = None if _is_drawn_anew(self.config.data) else _prompts_seen(self.train_dataset, self.config.data)
        return seen if prompts is None else {**seen, "train_prompts": prompts}

    def _save_checkpoint(self) -> None:
        folder = Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"
        with marked_timer("laser_save", self.timing_raw):
            self.driver.save(folder, self._data_fingerprint())
        super()._save_checkpoint()

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if self.global_steps > 0:
            self.driver.load(self._resumed_folder(), self._data_fingerprint())

    def _resumed_folder(self) -> Path:
        if self.config.trainer.resume_mode == "resume_path":
            return Path(self.config.trainer.resume_from_path)
        return Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"

    def _val_metrics_update(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        given = inspect.signature(super()._val_metrics_update).bind(*args, **kwargs).arguments
        infos = given["reward_extra_infos_dict"]
        refuse_bad_rows(infos.get(ERROR, ()))
        for name in (*SCORED_BY, SEVERAL_TURNS, OWN_SCORE):  # no numbers to take a mean of
            infos.pop(name, None)
        return super()._val_metrics_update(*args, **kwargs)

    def _log_rollout_data(self, batch: KVBatchMeta, timing_raw: dict[str, float], rollout_data_dir: str) -> None:
        with marked_timer("dump_rollout_generations", timing_raw):
            longest = self.config.data.max_response_length
            columns = dump_columns(batch, self.tokenizer, longest, self.driver.records)
            self._dump_generations(
                inputs=columns.pop("input"),
                outputs=columns.pop("output"),
                gts=columns.pop("gts"),
                scores=columns.pop("score"),
                reward_extra_infos_dict=columns,
                dump_path=rollout_data_dir,
            )


def _is_drawn_anew(data: DictConfig) -> bool:
    """Whether verl takes other rows of the files in every run, a resumed one too."""
    return (data.get("train_max_samples") or -1) > 0 and bool(data.get("shuffle")) and data.get("seed") is None


def _prompts_seen(dataset: Any, data: DictConfig) -> str | None:
    """One key for the first and last rows of verl's data set; None for one that keeps its rows another way."""
    frame = getattr(dataset, "dataframe", None)
    if not isinstance(frame, Dataset) or data.prompt_key not in frame.column_names:
        return None
    # the other columns may hold images
    names = [name for name in ("data_source", data.prompt_key, "reward_model") if name in frame.column_names]
    every = range(len(frame))
    rows = frame.select_columns(names)[sorted({*every[:_ROWS_SEEN], *every[-_ROWS_SEEN:]})]
    prompts = rows[data.prompt_key]
    nothing = [None] * len(prompts)
    golds = [(row or {}).get("ground_truth") for row in rows.get("reward_model", nothing)]
    keys = [prompt_key(*row) for row in zip(rows.get("data_source", nothing), prompts, golds, strict=True)]
    return prompt_key(None, keys, None)


class LaserSync(LaserTrainer, PPOTrainerSync):
    """verl's ``sync`` mode with whole groups shaped."""

    mode = "sync"


class LaserColocateAsync(LaserTrainer, PPOTrainerColocateAsync):
    """verl's ``colocate_async`` mode with whole groups shaped."""

    mode = "colocate_async"


class LaserSeparateAsync(LaserTrainer, PPOTrainerSeparateAsync):
    """verl's ``separate_async`` mode with whole groups shaped."""

    mode = "separate_async"


TRAINERS: tuple[type[LaserTrainer], ...] = (LaserSync, LaserColocateAsync, LaserSeparateAsync)


def choose_trainer(ours: type[LaserTrainer]) -> Callable[[DictConfig, Callable[..., Any]], Any]:
    """The function that decides between verl's trainer of a mode and ours."""

    def choose(config: DictConfig, stock: Callable[..., Any]) -> Any:
        if not names_our_manager(config):
            refuse_unread_rule(config, read_plugin(config))
            return stock(config=config)
        if read_plugin(config).auto_mode:
            return ours(config=config)
        settings = read_settings(config)
        refuse_group_method(settings)
        method = settings.build_method()
        choose_agent_loop(config, settings)
        use_budget_prompts(config, method)
        logger.info("laser_verl: %s applied in the reward workers; trainer and validation as in verl", settings.method)
        return stock(config=config)

    return choose


def register() -> list[str]:
    """Register our modes and let each answer for the stock mode where a config names one of our managers."""
    with all_or_nothing(TRAINER_REGISTRY):
        for trainer in TRAINERS:
            register_trainer(f"laser_{trainer.mode}")(trainer)
            put_in_place_of(TRAINER_REGISTRY, trainer.mode, choose_trainer(trainer))
    return [f"laser_{trainer.mode}" for trainer in TRAINERS]


REGISTERED = register()
