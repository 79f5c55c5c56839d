"""The problems of a small run, and the options that scale a method down to them.

    python examples/small_run.py FOLDER METHOD

writes `train.parquet` and `test.parquet` into the folder, unless they are there, and prints Hydra overrides, one a
line. The launchers call it for `DEVICE=cpu`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from laser_verl.data import tiny_world
from laser_verl.quickstart.command import small_options

_SEED = 7


def main() -> None:
    """Write the files and print the overrides."""
    folder, method = Path(sys.argv[1]), sys.argv[2]
    folder.mkdir(parents=True, exist_ok=True)
    train = tiny_world.make_problems(16, _SEED)
    test = tiny_world.make_problems(4, _SEED + 1, exclude=train)
    for problems, split in ((train, "train"), (test, "test")):
        file = folder / f"{split}.parquet"
        if not file.exists():
            tiny_world.write_parquet(tiny_world.to_rows(problems, split), file)
    for name, value in small_options(method, is_own=False).items():
        sys.stdout.write(f"++reward.reward_kwargs.{name}={str(value).replace(' ', '')}\n")


if __name__ == "__main__":
    main()
