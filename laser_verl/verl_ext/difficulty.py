"""How hard each prompt is, on the driver: the tracker that every step feeds, and the sampler that draws by it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from laser_verl.core.checks import Ints
from laser_verl.core.policies.base import Pool
from laser_verl.core.policies.walk import Order
from laser_verl.core.prompt_index import Keys, key_numbers
from laser_verl.core.rollouts import Rollouts
from laser_verl.core.sampler import Sampler, draw_metrics
from laser_verl.verl_ext.prompt_rows import KeyedRows
from laser_verl.verl_ext.sampler_settings import UNIFORM, SamplerSettings, TrackerSettings

logger = logging.getLogger(__name__)


class Difficulty:
    """Tracker and sampler of one run.

    Without a sampler the tracker gets to know prompts as they come, and draws nothing.
    """

    def __init__(self, tracker: TrackerSettings, sampler: SamplerSettings | None) -> None:
        """Start a tracker that knows no prompts."""
        self.tracker = tracker.build()
        self.settings = sampler
        self.sampler: Sampler | None = None
        self.repeated = 0
        """Rows of the training data that repeat a prompt."""
        self._pool_digest = ""

    def start(
        self, rows: KeyedRows, excluded: Keys, batch_size: int, seed: int, order_of: Callable[[int], Order]
    ) -> tuple[Sampler, Ints]:
        """Make the prompts of the training data known, and start the sampler on them.

        Args:
            rows: The training data.
            excluded: Keys of prompts that are not to be trained on.
            batch_size: Prompts a step.
            seed: Of the draws.
            order_of: By the number of rows, the order of each of verl's own rounds.

        Returns:
            The sampler, and the row of each place; of several rows with one key, the first.

        Raises:
            ValueError: The policy cannot draw from these data.
        """
        assert self.settings is not None
        row_of = self._rows_to_draw(rows, excluded, batch_size)
        keys = rows.keys()[row_of]
        self.tracker.keep_only(keys)
        policy = self.settings.build_policy()
        of_order = f"{rows.data.get('seed')}".encode() if policy.name == UNIFORM else b""
        self._pool_digest = hashlib.blake2b(keys.tobytes() + of_order, digest_size=8).hexdigest()
        order = order_of(len(keys)) if policy.name == UNIFORM else None
        try:
            columns = {name: values[row_of] for name, values in rows.columns(policy.column_names).items()}
            pool = Pool(self.tracker, len(keys), columns, batch_size, seed, order)
            self.sampler = Sampler(policy, pool, self.settings.epsilon_in_force())
        except ValueError as error:
            raise ValueError(f"laser_verl: laser.sampler, policy {policy.name}: {error}") from error
        return self.sampler, row_of

    def _rows_to_draw(self, rows: KeyedRows, excluded: Keys, batch_size: int) -> Ints:
        """One row for each prompt that is trained on; ValueError where named keys repeat, or too few are left."""
        keys = rows.keys()
        distinct, first = np.unique(keys, return_index=True)
        row_of = np.sort(first[~np.isin(distinct, excluded)])
        self.repeated = len(keys) - len(distinct)
        if self.repeated and rows.column is not None:
            twice = keys[np.setdiff1d(np.arange(len(keys)), first)[0]]
            one, other = np.flatnonzero(keys == twice)[:2].tolist()
            raise ValueError(
                f"laser_verl: laser.tracker.key={rows.column} is the same in rows {one} and {other} (from 0) of the "
                f"training data ({self.repeated} rows repeat a key); name a column that tells all rows apart, or leave "
                "out laser.tracker.key"
            )
        if self.repeated:
            logger.warning(
                "laser_verl: %d rows of the training data repeat a prompt, which is drawn as one", self.repeated
            )
        if len(row_of) < batch_size and len(excluded):
            raise ValueError(
                f"laser_verl: laser.sampler: the monitor set keeps {len(excluded)} prompts out of the training, which "
                f"leaves {len(row_of)} for batches of {batch_size}; lower reward.reward_kwargs.monitor.size, or set "
                "monitor.exclude=false"
            )
        return row_of

    def observe(self, rollouts: Rollouts) -> dict[str, float]:
        """Learn from a batch.

        Args:
            rollouts: With the keys of their prompts.

        Returns:
            What the step logs of its prompts, as they were known before, and of all prompts after it.
        """
        places = np.unique(self.tracker.places(key_numbers(rollouts.prompt_key)))
        drawn = draw_metrics(self.tracker, places, rollouts.step)
        outcome = self.tracker.observe(rollouts)
        if self.sampler is None:
            return drawn | self.tracker.metrics()
        self.sampler.observe(outcome)
        return drawn | self.tracker.metrics() | self.sampler.metrics(rollouts.step)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of tracker and sampler."""
        state: dict[str, Any] = {"tracker": self.tracker.state_dict()}
        if self.sampler is not None:
            state["sampler"] = {"pool": self._pool_digest, **self.sampler.state_dict()}
        return state

    def load_state_dict(self, state: Mapping[str, Any], keys: Keys | None) -> None:
        """Go on from a checkpoint.

        Args:
            state: The file, whole.
            keys: Of the training data, where these may not be those of the checkpoint; None where they are.

        Raises:
            ValueError: It is damaged, or none of its prompts is in the data.
        """
        own = self.tracker.keys if self.sampler is not None else keys
        if "tracker" in state:
            self.tracker.load_state_dict(state["tracker"])
            if own is not None:
                self._follow(own)
        if self.sampler is not None:
            self._load_sampler(state.get("sampler"))

    def _follow(self, keys: Keys) -> None:
        known = self.tracker.size
        kept = self.tracker.keep_only(keys)
        if known and not kept.kept:
            raise ValueError(
                f"the state knows {known} prompts and none of them is in the training data, so it is of another data "
                "set, or of another laser.tracker.key; set data.train_files and laser.tracker.key back to resume, or "
                "delete the file to keep the weights and start afresh"
            )
        if kept.new or kept.dropped:
            logger.info(
                "laser_verl: of the prompts of the checkpoint %d are in the data and kept, %d are not and are dropped; "
                "%d prompts of the data are new",
                *(kept.kept, kept.dropped, kept.new),
            )

    def _load_sampler(self, state: Mapping[str, Any] | None) -> None:
        assert self.sampler is not None
        self.sampler.restart()
        if state is None:
            logger.info("laser_verl: the checkpoint has no sampler; that of this run begins its rounds")
            return
        for text in self.sampler.load_state_dict(state, state.get("pool") == self._pool_digest):
            logger.info("laser_verl: %s", text)
