"""The problems and the model of a quickstart, as files that verl reads."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from laser_verl.commands import BadInput
from laser_verl.data import tiny_world
from laser_verl.quickstart.plan import Plan

HELD_OUT_PER_DIFFICULTY = 200
TRAINING_PER_DIFFICULTY = 600

# Held-out problems are the same for every seed of a run, and no seed of a training set is this large.
HELD_OUT_SEED = 2**31

# A model of the reader's own answers a few problems a minute on a laptop.
OWN_HELD_OUT_ROWS = 32
OWN_LEAST_TRAINING_ROWS = 4

_COLUMNS = ("prompt", "data_source", "reward_model")


def make_problems(plan: Plan) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The training and the held-out problems; the same plan has the same.

    Args:
        plan: The plan.

    Returns:
        Rows to train on and rows to evaluate on.

    Raises:
        BadInput: If the reader's own parquet lacks a column, a gold answer, or rows.
    """
    if plan.data is not None:
        return split(read_rows(plan.data), plan.data, plan.seed)
    kept = tiny_world.make_problems(HELD_OUT_PER_DIFFICULTY, HELD_OUT_SEED)
    train = tiny_world.make_problems(TRAINING_PER_DIFFICULTY, plan.seed, exclude=kept)
    return tiny_world.to_rows(train, "train"), tiny_world.to_rows(kept, "held_out")


def write(plan: Plan, train: Sequence[dict[str, Any]], held_out: Sequence[dict[str, Any]]) -> None:
    """Write what the training reads and is not there yet.

    Args:
        plan: The plan.
        train: Rows to train on.
        held_out: Rows to evaluate on.
    """
    if not plan.is_own:
        tiny_world.write_model(plan.base)
    for rows, path in ((train, plan.train_file), (held_out, plan.held_out_file)):
        if not path.exists():
            tiny_world.write_parquet(rows, path)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a verl parquet file.

    Args:
        path: The file.

    Returns:
        Its rows, each with `prompt`, `data_source` and `reward_model.ground_truth`.

    Raises:
        BadInput: If it is no parquet file, or a row lacks one of them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(f"{path} is not a parquet file: {error}") from error
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise BadInput(f"{path} lacks {', '.join(missing)}; a verl data set has {', '.join(_COLUMNS)} in every row")
    rows = table.to_pylist()
    for number, row in enumerate(rows):
        if not isinstance(row["reward_model"], dict) or row["reward_model"].get("ground_truth") in (None, ""):
            raise BadInput(f"{path}, row {number}: reward_model.ground_truth is missing; every row needs a gold answer")
    return rows


def split(rows: Sequence[dict[str, Any]], path: Path, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Hold out a fifth of the rows, at most `OWN_HELD_OUT_ROWS`, drawn at random.

    Args:
        rows: Rows of a data set.
        path: Where they come from, for the message.
        seed: Seed of the draw.

    Returns:
        Training rows and held-out rows. Of 100 rows 80 and 20, of 1,000 rows 968 and 32.

    Raises:
        BadInput: If there are too few for a training batch.
    """
    num_held_out = min(OWN_HELD_OUT_ROWS, max(1, len(rows) // 5))
    if len(rows) - num_held_out < OWN_LEAST_TRAINING_ROWS:
        raise BadInput(f"{path} has {len(rows)} rows; give at least {OWN_LEAST_TRAINING_ROWS + 1}")
    held_out = set(random.Random(seed).sample(range(len(rows)), num_held_out))
    return (
        [row for number, row in enumerate(rows) if number not in held_out],
        [row for number, row in enumerate(rows) if number in held_out],
    )


def knows_think_tags(model: Path) -> bool:
    """Whether a checkpoint's tokenizer or chat template speaks of think tags.

    Args:
        model: Folder of a Hugging Face checkpoint.

    Returns:
        True if one of its text files holds `</think>`.
    """
    names = ("chat_template.jinja", "tokenizer_config.json", "added_tokens.json", "tokenizer.json")
    files = [model / name for name in names if (model / name).is_file()]
    return any("</think>" in file.read_text(encoding="utf-8") for file in files)
