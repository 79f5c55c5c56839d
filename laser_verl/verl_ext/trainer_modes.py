"""Our trainer modes: verl's, with whole groups shaped before the advantage step.

``laser_sync``, ``laser_colocate_async`` and ``laser_separate_async`` name them outright; naming one of our reward
managers under a stock mode puts ours in its place (``+laser.auto_mode=false`` forbids it).
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import transfer_queue as tq
from omegaconf import DictConfig, open_dict
from tensordict import NonTensorData, NonTensorStack, TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.utils import create_rl_dataset
from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY, PPOTrainer, register_trainer
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_separate_async import PPOTrainerSeparateAsync
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.debug import marked_timer

from laser_verl.core.checkpoints import remove_orphans
from laser_verl.core.registry import method_names
from laser_verl.verl_ext import advantages, seeded_rollout
from laser_verl.verl_ext.agent_loops import choose_agent_loop
from laser_verl.verl_ext.budget_dataset import use_budget_prompts
from laser_verl.verl_ext.cluster import check_cluster
from laser_verl.verl_ext.compat import all_or_nothing, put_in_place_of
from laser_verl.verl_ext.driver import Driver
from laser_verl.verl_ext.dumps import dump_columns
from laser_verl.verl_ext.fingerprint import data_fingerprint
from laser_verl.verl_ext.layout import MAX_TOKENS
from laser_verl.verl_ext.limited_rollout import row_limits
from laser_verl.verl_ext.monitor import Monitor
from laser_verl.verl_ext.monitor_pass import answer
from laser_verl.verl_ext.prompt_rows import KEY, KeyedRows
from laser_verl.verl_ext.reading import refuse_bad_rows
from laser_verl.verl_ext.refusals import refuse_stock_sampler, refuse_unread_rule
from laser_verl.verl_ext.remote import copy_state
from laser_verl.verl_ext.reward_row import ERROR, OWN_SCORE, SCORED_BY, SEVERAL_TURNS
from laser_verl.verl_ext.sampler import PromptLoader, UnderWay, verl_order
from laser_verl.verl_ext.sampler_settings import has_sampler
from laser_verl.verl_ext.settings import (
    names_our_manager,
    read_observing_settings,
    read_plugin,
    read_settings,
    refuse_group_method,
)

logger = logging.getLogger(__name__)


class LaserTrainer(PPOTrainer):
    """Mixin over a trainer of verl: shapes, logs, dumps and saves on the driver."""

    mode: str
    _under_way: UnderWay | None = None

    def __init__(self, config: DictConfig) -> None:
        """Check and complete the config, then build verl's trainer.

        Raises:
            ValueError: the reward manager is not one of ours, or an option is wrong; no model has been loaded yet.
        """
        shapes = names_our_manager(config)
        if not shapes and not has_sampler(config):
            raise ValueError(
                f"laser_verl: trainer.v1.trainer_mode=laser_{self.mode} needs reward.reward_manager.name to be one of "
                f"{', '.join(method_names())}, or a sampler, e.g. '+laser.sampler={{policy: band_mix}}'; it is "
                f"{config.reward.reward_manager.name}"
            )
        with open_dict(config):
            config.trainer.v1.trainer_mode = self.mode
            if shapes:
                config.laser = {**(config.get("laser") or {}), "shape_on_driver": True}
            else:
                refuse_unread_rule(config, read_plugin(config))
        self.driver = Driver(read_settings(config) if shapes else read_observing_settings(config), config)
        self.driver.method_state()
        self._limits_rollouts = choose_agent_loop(config, self.driver.settings, self.driver.method)
        use_budget_prompts(config, self.driver.method)
        check_cluster(config)
        logger.info(self.driver.start_line(self.mode))
        super().__init__(config)

    def _init_dataloader(self) -> None:
        super()._init_dataloader()
        plugin, data, monitoring = self.driver.settings.plugin, self.config.data, self.driver.method.monitor
        rows = KeyedRows(self.train_dataset, data, plugin.tracker.key)
        if monitoring is not None:
            own = (
                rows
                if monitoring.file is None
                else KeyedRows(self._read_rows(monitoring.file), data, plugin.tracker.key)
            )
            self.driver.monitor = Monitor(monitoring, own, plugin.seed)
        if self.driver.difficulty.settings is None:
            return
        monitor = self.driver.monitor
        excluded = monitor.excluded() if monitor else np.zeros(0, dtype=np.uint64)
        sampler, row_of = self.driver.difficulty.start(
            rows, excluded, data.train_batch_size, plugin.seed, lambda size: verl_order(size, data)
        )
        self.train_dataset = rows
        size = data.get("gen_batch_size") or data.train_batch_size
        self.train_dataloader = PromptLoader(rows, sampler, row_of, size, data.dataloader_num_workers)
        if self.trainer_mode != "sync":
            self._under_way = UnderWay(self.driver.difficulty.tracker, sampler)

    def _read_rows(self, file: str) -> Any:
        return create_rl_dataset(file, self.config.data, self.tokenizer, self.processor, is_train=False)

    def _next_train_batch(self, num_prompts: int | None = None) -> TensorDict:
        if self.driver.difficulty.sampler is not None:
            self.train_dataloader.wanted = num_prompts or self.config.data.train_batch_size
        if self._under_way is not None:
            self._under_way.refresh()
        return super()._next_train_batch(num_prompts)

    def on_step_begin(self) -> None:
        """Let the model answer the monitor set, where it is time."""
        super().on_step_begin()
        if self.driver.difficulty.sampler is not None and self._under_way is None:
            self.driver.difficulty.sampler.only_in_flight()
        monitor = self.driver.monitor
        if monitor is not None and monitor.monitoring.is_due(self.global_steps):
            with marked_timer("laser_monitor", self.timing_raw):
                self._observe_monitor(monitor)

    def _observe_monitor(self, monitor: Monitor) -> None:
        batch = answer(monitor, self)
        self.driver.observe_monitor(batch, self.global_steps)
        folder = self.config.trainer.get("rollout_data_dir", None)
        if folder:
            self._dump(batch, str(Path(folder) / "monitor"))
        tq.kv_clear(keys=batch.keys, partition_id=batch.partition_id)

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
        if self._under_way is not None:
            self._under_way.submitted(list(batch["uid"]), list(batch[KEY]))
        return super()._submit_batch_to_rollout(batch)

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        with marked_timer("laser_shape", self.timing_raw):
            shaped = self.driver.shape(batch, self.global_steps)
        with advantages.given(shaped) if self.driver.settings.shapes else nullcontext():
            batch = super()._compute_advantage(batch, metrics)
        metrics.update(self.driver.metrics(shaped))
        return batch

    def _data_fingerprint(self) -> dict[str, Any]:
        return data_fingerprint(self.train_dataset, self.config.data)

    def _save_checkpoint(self) -> None:
        folder = Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"
        with marked_timer("laser_save", self.timing_raw):
            self.driver.save(folder, self._data_fingerprint())
            remote = self.config.trainer.default_hdfs_dir
            if remote is not None:
                copy_state(folder, f"{remote}/{folder.name}")
        super()._save_checkpoint()
        if self.config.trainer.get("max_actor_ckpt_to_keep") or self.config.trainer.get("remove_previous_ckpt_in_save"):
            remove_orphans(folder.parent, self.global_steps)

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if self.global_steps > 0:
            keys = KeyedRows(self.train_dataset, self.config.data, None).keys
            self.driver.load(self._resumed_folder(), self._data_fingerprint(), keys)

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
        if not self.driver.settings.shapes:
            super()._log_rollout_data(batch, timing_raw, rollout_data_dir)
            return
        with marked_timer("dump_rollout_generations", timing_raw):
            self._dump(batch, rollout_data_dir)

    def _dump(self, batch: KVBatchMeta, folder: str) -> None:
        longest = self.config.data.max_response_length
        columns = dump_columns(batch, self.tokenizer, longest, self.driver.records)
        self._dump_generations(
            inputs=columns.pop("input"),
            outputs=columns.pop("output"),
            gts=columns.pop("gts"),
            scores=columns.pop("score"),
            reward_extra_infos_dict=columns,
            dump_path=folder,
        )


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
        shapes = names_our_manager(config)
        if (shapes or has_sampler(config)) and read_plugin(config).auto_mode:
            return ours(config=config)
        refuse_stock_sampler(config)
        if not shapes:
            refuse_unread_rule(config, read_plugin(config))
            return stock(config=config)
        settings = read_settings(config)
        refuse_group_method(settings)
        method = settings.build_method()
        choose_agent_loop(config, settings)
        use_budget_prompts(config, method)
        check_cluster(config)
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
