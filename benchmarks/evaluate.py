"""Seconds that `laser-verl evaluate --from` takes: reading recorded samples, judging them, measures with intervals.

python benchmarks/evaluate.py [--problems 6250] [--samples 16]
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from laser_verl.evaluate import summary
from laser_verl.evaluate.samples import Sample, read
from laser_verl.evaluate.settings import Settings
from laser_verl.evaluate.verdicts import judge


def write(path: Path, problems: int, samples: int) -> None:
    """Random samples: a thought of 50 words, one of four answers."""
    rng = random.Random(1)
    settings = Settings({"name": "m", "fingerprint": ""}, 0.6, 0.95, 4096, 1, "float32", "paper", "deepseek", "", 8)
    with path.open("w") as file:
        file.write(json.dumps({"laser_verl": "", "settings": settings.as_record()}) + "\n")
        for number in range(problems * samples):
            problem, sample = divmod(number, samples)
            thought = " ".join(rng.choices(("so", "wait", "however", "then", "x", "equals", "seven"), k=50))
            text = f"<think>{thought}</think>\\boxed{{{rng.choice('6789')}}}"
            tokens = rng.randrange(100, 4000)
            row = Sample("b", f"{problem:016x}", "math", "?", "7", sample, None, 0, False, 9, tokens, 99, "stop", text)
            file.write(json.dumps(asdict(row)) + "\n")


def timed(name: str, function: Callable[[], Any]) -> Any:
    """Print the seconds of a call, and give what it gives."""
    begun = time.perf_counter()
    found = function()
    print(f"{name:10} {time.perf_counter() - begun:6.1f} s")
    return found


def main() -> None:
    """Time one evaluation."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--problems", type=int, default=6250)
    parser.add_argument("--samples", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.jsonl"
        write(path, arguments.problems, arguments.samples)
        (record,) = timed("read", lambda: read([path]))
    rows = list(record.samples.values())
    print(f"{len(rows)} samples")
    judged = timed("judge", lambda: judge(rows, "deepseek"))
    timed("measures", lambda: summary.measure(rows, judged, 1))


if __name__ == "__main__":
    main()
