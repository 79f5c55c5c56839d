"""An engine in the place of vLLM: its texts depend on prompt and seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from laser_verl.data import tiny_world
from laser_verl.evaluate import run
from laser_verl.evaluate.engine import EngineOptions, Output, Request
from laser_verl.evaluate.plan import Request as EvaluationRequest

THINK, CLOSE, BOX, END = 4, 5, 6, 1
A, BRACE = 72, 100


class FakeTexts:
    """Counts what it generates, in a random order; may be interrupted after so many texts."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.options: EngineOptions | None = None
        self.interrupt_after: int | None = None

    def __call__(self, options: EngineOptions, workers: int) -> FakeTexts:
        self.options = options
        return self

    def generate(self, requests: Sequence[Request]) -> Iterator[Output]:
        for request in random.sample(list(requests), len(requests)):
            if self.interrupt_after is not None and len(self.requests) >= self.interrupt_after:
                raise KeyboardInterrupt
            self.requests.append(request)
            yield _text(request)

    def close(self) -> None:
        pass


def _text(request: Request) -> Output:
    rng = random.Random(f"{request.prompt} {request.seed}")
    letter = A + rng.randrange(4)
    answer = [letter, BRACE, END]
    if request.prompt[-1] == BOX:  # the answer after a cue
        ids = answer
    else:
        ids = [THINK, *(A + rng.randrange(16) for _ in range(rng.randrange(12))), CLOSE, BOX, *answer]
    finish = "stop" if len(ids) <= request.max_tokens else "length"
    return Output(request.number, ids[: request.max_tokens], finish)


def in_place_of_vllm(monkeypatch: pytest.MonkeyPatch) -> FakeTexts:
    """Put a fake where vLLM would be."""
    texts = FakeTexts()
    monkeypatch.setattr(run, "Texts", texts)
    monkeypatch.setattr(run, "circumstances", lambda: {"vllm": "0", "device": "cpu"})
    return texts


def problems(folder: Path, number: int = 5, name: str = "tiny") -> str:
    """A file of problems of the tiny world."""
    rows = tiny_world.to_rows(tiny_world.make_problems(2, seed=1), "test")[:number]
    return str(tiny_world.write_parquet(rows, folder / f"{name}.parquet"))


def request_of(folder: Path, **changes: Any) -> EvaluationRequest:
    """An evaluation of the tiny model with 3 samples a problem."""
    values: dict[str, Any] = {
        "model": str(tiny_world.base_path()),
        "on": [problems(folder)],
        "out": folder / "out",
        "samples": 3,
        "temperature": 0.6,
        "top_p": 0.95,
        "max_tokens": 14,
        "seed": 1,
        "dtype": "float32",
        "template": "paper",
        "thinking": "deepseek",
        "budgets": "0,4",
        "cue": "\\boxed{",
        "answer_tokens": 8,
        "workers": 1,
        "tensor_parallel": 1,
        "max_num_seqs": None,
    }
    return EvaluationRequest(**{**values, **changes})
