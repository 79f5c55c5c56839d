"""The prompts of verl's training data: keys of all rows, columns that a policy reads, and rows that carry their key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from datasets import Dataset
from omegaconf import DictConfig
from verl.utils.dataset.rl_dataset import RLHFDataset

from laser_verl.core.keys import prompt_key
from laser_verl.core.prompt_index import Keys, key_numbers, key_texts

KEY = "laser_key"
"""Field of a prompt: its key, under which the driver keeps what it learns of it."""

RAW_PROMPT = "raw_prompt"
"""verl's name for the messages of a row."""

_ROWS_AT_A_TIME = 4096
_READING = ("__getitem__", "_build_messages")
_INSIDE = "extra_info."


class KeyedRows:
    """verl's data set, each of its rows with its key; all else as it is there."""

    def __init__(self, dataset: Any, data: DictConfig, column: str | None) -> None:
        """Wrap a data set.

        Args:
            dataset: verl's, or a user's own.
            data: verl's ``config.data``.
            column: that names a prompt; None takes data source, messages and gold answer together.
        """
        self.dataset = dataset
        self._keys: Keys | None = None
        self.data, self.column = data, column

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """The row, with its key as ``laser_key``."""
        return {**self.dataset[row], KEY: key_texts(self.keys()[row : row + 1])[0]}

    def __getattr__(self, name: str) -> Any:
        """Answer for the data set."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__dict__["dataset"], name)

    def keys(self) -> Keys:
        """The key of every row as a number, [rows]; read once."""
        if self._keys is None:
            names = ["data_source", self.data.prompt_key, "reward_model"] if self.column is None else [self.column]
            parts = [key_numbers([key_of(row, self.column) for row in rows]) for rows in self._rows(names)]
            self._keys = np.concatenate([np.zeros(0, dtype=np.uint64), *parts])
        return self._keys

    def columns(self, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Columns of all rows, by name; one that is not at the top is looked for in ``extra_info``."""
        found: dict[str, list[Any]] = {name: [] for name in names}
        for rows in self._rows(list(names)) if names else ():
            for name in names:
                found[name] += [value_of(row, name) for row in rows]
        for name, values in found.items():
            if all(value is None for value in values):
                raise ValueError(f"column={name} is in no row of the training data; name a column that they have")
        return {name: as_column(values) for name, values in found.items()}

    def _rows(self, names: list[str]) -> Iterator[list[Mapping[str, Any]]]:
        """The rows in portions, as far as some columns need them; the messages are called raw_prompt, as verl does."""
        frame = getattr(self.dataset, "dataframe", None)
        if not isinstance(frame, Dataset) or not self._reads_messages_as_they_are(frame):
            for first in range(0, len(self.dataset), _ROWS_AT_A_TIME):
                yield [self.dataset[row] for row in range(first, min(first + _ROWS_AT_A_TIME, len(self.dataset)))]
            return
        # Other columns may be large, or slow to decode.
        at_top = [name for name in names if name in frame.column_names]
        inside = ["extra_info"] if len(at_top) < len(names) and "extra_info" in frame.column_names else []
        if not at_top and not inside:
            raise ValueError(f"column={names[0]} is in no row of the training data; name a column that they have")
        frame = frame.select_columns([*at_top, *inside])
        called = {self.data.prompt_key: RAW_PROMPT}
        for first in range(0, len(frame), _ROWS_AT_A_TIME):
            some = frame[first : first + _ROWS_AT_A_TIME]
            heads = [called.get(name, name) for name in some]
            yield [dict(zip(heads, values, strict=True)) for values in zip(*some.values(), strict=True)]

    def _reads_messages_as_they_are(self, frame: Dataset) -> bool:
        """Whether rows of the frame hold what verl's data set hands out: no images, and no code of a user's."""
        if self.data.prompt_key not in frame.column_names:
            return False
        media = [str(self.data.get(f"{kind}_key", f"{kind}s")) for kind in ("image", "video", "audio")]
        own = [getattr(type(self.dataset), name, None) for name in _READING]
        stock = [getattr(RLHFDataset, name) for name in _READING]
        is_stock = own == stock or (not isinstance(self.dataset, RLHFDataset) and own == [None, None])
        return is_stock and not any(name in frame.column_names for name in media)


def key_of(row: Mapping[str, Any], column: str | None) -> str:
    """The key of a row: a hash of the column that names its prompt, else of data source, messages and gold answer.

    Args:
        row: its columns.
        column: that names the prompt, or None.

    Returns:
        16 hexadecimal digits.

    Raises:
        ValueError: the row has nothing in the column.
    """
    if column is None:
        gold = (row.get("reward_model") or {}).get("ground_truth")
        return prompt_key(row.get("data_source"), row[RAW_PROMPT], gold)
    value = value_of(row, column)
    if value is None:
        index = (row.get("extra_info") or {}).get("index")
        raise ValueError(
            f"laser_verl: laser.tracker.key={column} is missing in a row (index={index!r}); give every row one of its "
            "own, or leave out laser.tracker.key"
        )
    return prompt_key(column, str(value), None)


def value_of(row: Mapping[str, Any], name: str) -> Any:
    """What a row has under a name: at its top, or in its ``extra_info``."""
    if name in row:
        return row[name]
    return (row.get("extra_info") or {}).get(name.removeprefix(_INSIDE))


def as_column(values: list[Any]) -> np.ndarray:
    """Numbers as float64, NaN where one is missing; anything else as it is."""
    is_number = all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
    )
    if is_number:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    shared: dict[Any, Any] = {}  # equal texts once, not once a row
    return np.array([shared.setdefault(value, value) if isinstance(value, str) else value for value in values], object)
