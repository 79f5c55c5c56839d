"""Samples as an evaluation would record them."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from laser_verl.evaluate.samples import Sample
from laser_verl.evaluate.settings import Settings, request_seed

SETTINGS = Settings(
    model={"name": "m", "fingerprint": "00"},
    temperature=0.6,
    top_p=0.95,
    max_tokens=100,
    seed=1,
    dtype="float32",
    template="paper",
    thinking="deepseek",
    cue="\\boxed{",
    answer_tokens=8,
    engine={"vllm": "0.0", "device": "cpu"},
)


def sample(
    problem: int = 0, number: int = 0, answer: str | None = "7", gold: object = "7", **changes: object
) -> Sample:
    """A response of 10 tokens, 6 of them thought, with this answer; None for one that was cut off in its thought."""
    key = f"{problem:016x}"
    text = "<think>wait" if answer is None else f"<think>wait</think>\\boxed{{{answer}}}"
    made = Sample(
        benchmark="quiz",
        key=key,
        source="math",
        question=f"question {problem}",
        gold=gold,
        sample=number,
        budget=None,
        seed=request_seed(1, key, number),
        opens_think=False,
        prompt_tokens=5,
        tokens=10,
        thinking_tokens=10 if answer is None else 6,
        finish="length" if answer is None else "stop",
        response=text,
    )
    return replace(made, **changes)


def lines_of(samples: list[Sample], settings: Settings = SETTINGS) -> list[str]:
    """The lines of a file of samples."""
    header = {"laser_verl": "0", "settings": settings.as_record()}
    return [json.dumps(values) + "\n" for values in (header, *map(asdict, samples))]


def write(path: Path, samples: list[Sample], settings: Settings = SETTINGS) -> Path:
    """Write a file of samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines_of(samples, settings)))
    return path
