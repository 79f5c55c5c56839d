"""The prompts of verl's training data: keys of all rows, columns that a policy reads, and rows that carry their key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from datasets import Dataset
from omegaconf import DictConfig

from laser_verl.core.keys import prompt_key
from laser_verl.core.prompt_index import Keys, key_numbers

KEY = "laser_key"
"""Field of a prompt: its key, under which the driver keeps what it learns of it."""

_ROWS_AT_A_TIME = 4096
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
        self._data, self.column = data, column

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """The row, with its key as ``laser_key``."""
        values = self.dataset[row]
        return {**values, KEY: key_of(values, "raw_prompt", self.column)}

    def __getattr__(self, name: str) -> Any:
        """Answer for the data set."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__dict__["dataset"], name)

    def keys(self) -> Keys:
        """The key of every row as a number, [rows]."""
        names = ["data_source", "reward_model"] if self.column is None else []
        texts = [key_of(row, name, self.column) for row, name in self._rows([*names, self.column])]
        return key_numbers(texts)

    def columns(self, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Columns of all rows, by name; one that is not at the top is looked for in ``extra_info``."""
        found: dict[str, list[Any]] = {name: [] for name in names}
        for row, _ in self._rows(list(names)) if names else ():
            for name in names:
                found[name].append(value_of(row, name))
        for name, values in found.items():
            if all(value is None for value in values):
                raise ValueError(f"column={name} is in no row of the training data; name a column that they have")
        return {name: as_column(values) for name, values in found.items()}

    def _rows(self, names: list[str | None]) -> Iterator[tuple[Mapping[str, Any], str]]:
        """The rows, as far as they are needed, and the column of their messages."""
        frame = getattr(self.dataset, "dataframe", None)
        if not isinstance(frame, Dataset) or self._data.prompt_key not in frame.column_names:
            for row in range(len(self.dataset)):
                yield self.dataset[row], "raw_prompt"
            return
        # Other columns may hold images, which take long to decode.
        wanted = {name for name in names if name} | {"extra_info", self._data.prompt_key}
        frame = frame.select_columns([name for name in frame.column_names if name in wanted])
        for first in range(0, len(frame), _ROWS_AT_A_TIME):
            some = frame[first : first + _ROWS_AT_A_TIME]
            for values in zip(*some.values(), strict=True):
                yield dict(zip(some, values, strict=True)), self._data.prompt_key


def key_of(row: Mapping[str, Any], messages: str, column: str | None) -> str:
    """The key of a row: a hash of the column that names its prompt, else of data source, messages and gold answer.

    Args:
        row: its columns.
        messages: the one of its messages.
        column: that names the prompt, or None.

    Returns:
        16 hexadecimal digits.

    Raises:
        ValueError: the row has nothing in the column.
    """
    if column is None:
        return prompt_key(row.get("data_source"), row[messages], (row.get("reward_model") or {}).get("ground_truth"))
    value = value_of(row, column)
    if value is None:
        raise ValueError(
            f"laser_verl: laser.tracker.key={column} is missing in a row (index="
            f"{(row.get('extra_info') or {}).get('index')!r}); give every row one of its own, or leave out "
            "laser.tracker.key"
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
    return np.array(values, dtype=object)
