"""The sampler in verl: which rows its data loader fetches, and what is under way in the asynchronous modes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import transfer_queue as tq
from omegaconf import DictConfig
from torchdata.stateful_dataloader import StatefulDataLoader
from verl.utils.dataset.rl_dataset import collate_fn

from laser_verl.core.checks import Ints
from laser_verl.core.prompt_index import key_numbers
from laser_verl.core.sampler import Sampler
from laser_verl.core.tracker import DifficultyTracker
from laser_verl.verl_ext.layout import optional_field
from laser_verl.verl_ext.prompt_rows import KEY

_PARTITION = "train"


class PromptLoader(StatefulDataLoader):
    """verl's data loader over the rows that a sampler draws, without end.

    Where it goes on after a resume is said in ``laser_state``; what it saves itself lets verl's own loader go on.
    """

    def __init__(self, dataset: Any, sampler: Sampler, row_of: Ints, batch_size: int, num_workers: int) -> None:
        """Set up.

        Args:
            dataset: verl's, with keys.
            sampler: draws places.
            row_of: the row of each place, [P].
            batch_size: prompts fetched at a time.
            num_workers: processes that read ahead; 0 for a policy that follows the training.
        """
        self._sampler = sampler
        self.wanted = batch_size
        rows = _Rows(self, sampler, row_of, batch_size)
        super().__init__(dataset=dataset, batch_sampler=rows, num_workers=num_workers, collate_fn=collate_fn)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Fetch batches; one that reaches the trainer is told to the sampler."""
        for batch in super().__iter__():
            self._sampler.hand_over()
            yield batch

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Leave the position to the sampler."""


class _Rows:
    """Rows for one fetch after another, drawn when they are asked for.

    An adaptive policy draws all that the trainer wants at once, in however small portions verl fetches them; a fixed
    order is drawn fetch by fetch, as verl does.
    """

    def __init__(self, loader: PromptLoader, sampler: Sampler, row_of: Ints, batch_size: int) -> None:
        self._loader, self._sampler, self._row_of, self._batch_size = loader, sampler, row_of, batch_size

    def __iter__(self) -> Iterator[list[int]]:
        drawn = self._row_of[:0]
        while True:
            if not len(drawn):
                count = self._loader.wanted if self._sampler.policy.is_adaptive else self._batch_size
                drawn = self._row_of[self._sampler.draw(count)]
            yield drawn[: self._batch_size].tolist()
            drawn = drawn[self._batch_size :]


def verl_order(size: int, data: DictConfig) -> Any:
    """The order in which verl's own loader goes through ``size`` rows in each of its rounds.

    Args:
        size: rows.
        data: verl's ``config.data``; its seed counts.

    Returns:
        A function of the round, from 0, that gives a permutation.
    """
    generator = torch.Generator()
    if data.get("seed") is not None:
        generator.manual_seed(data.seed)
    begin = generator.get_state()
    done = 0

    def order(number: int) -> Ints:
        nonlocal done
        if number < done:
            generator.set_state(begin)
            done = 0
        while True:
            rows = torch.randperm(size, generator=generator)
            done += 1
            if done > number:
                return rows.numpy()

    return order


class UnderWay:
    """Which prompts of ours are in verl's TransferQueue, so that none is drawn while it is being answered."""

    def __init__(self, tracker: DifficultyTracker, sampler: Sampler) -> None:
        """Know of none yet."""
        self._tracker, self._sampler = tracker, sampler
        self._place: dict[str, int] = {}

    def submitted(self, uids: Sequence[str], keys: Sequence[str]) -> None:
        """Remember which prompt is behind each of verl's ids."""
        self._place.update(zip(uids, self._tracker.places(key_numbers(keys)).tolist(), strict=True))

    def refresh(self) -> None:
        """Give back the prompts that are no longer there: trained on, or dropped by verl as too old or as failed."""
        # Trained responses stay for a while without their prompt, which verl removes first.
        tags = (tq.kv_list(_PARTITION) or {}).get(_PARTITION, {})
        there = {key for key, tag in tags.items() if tag.get("is_prompt", False)}
        unknown = sorted(there - self._place.keys())
        if unknown:  # restored from a checkpoint
            data = tq.kv_batch_get(keys=unknown, partition_id=_PARTITION, select_fields=[KEY])
            known = [(uid, key) for uid, key in zip(unknown, optional_field(data, KEY), strict=True) if key is not None]
            self.submitted([uid for uid, _ in known], [key for _, key in known])
        self._place = {uid: place for uid, place in self._place.items() if uid in there}
        self._sampler.only_in_flight(self._place.values())
