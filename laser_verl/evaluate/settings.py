"""What decides over the texts of an evaluation, kept beside them: two files of equal settings belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

DTYPES = ("bfloat16", "float16", "float32")


@dataclass(frozen=True)
class Settings:
    r"""The settings of an evaluation.

    Attributes:
        model: `name`, as tables show it, and `fingerprint` (`model.fingerprint`).
        temperature: Of sampling.
        top_p: Of sampling.
        max_tokens: Longest response.
        seed: Seed of all requests, see `request_seed`.
        dtype: Precision of weights and activations.
        template: Prompt template of problems that bring no prompt.
        thinking: Response format, see `laser_verl.scoring.formats`.
        cue: What follows the end of a thought that is cut at a budget, such as `\boxed{`.
        answer_tokens: Longest answer after the cue.
        engine: Versions, device, and other circumstances that texts may depend on.
    """

    model: Mapping[str, str]
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    dtype: str
    template: str
    thinking: str
    cue: str
    answer_tokens: int
    engine: Mapping[str, Any] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """The settings as JSON has them."""
        return asdict(self)


def from_record(record: Mapping[str, Any]) -> Settings:
    """Read what `as_record` gave; raises TypeError if a field is missing or unknown, or the model has no name."""
    settings = Settings(**record)
    if not isinstance(settings.model, Mapping) or not isinstance(settings.model.get("name"), str):
        raise TypeError("model has no name")
    return settings


def differences(recorded: Settings, current: Settings) -> list[str]:
    """What differs between two settings.

    Args:
        recorded: Those of a file.
        current: Those of now.

    Returns:
        One text per field, e.g. `temperature is 0.6 there and 1.0 now`; the model's name may differ.
    """
    there, now = (dict(_flat(settings.as_record())) for settings in (recorded, current))
    names = [name for name in {**there, **now} if name != "model.name"]
    return [
        f"{name} is {there.get(name)} there and {now.get(name)} now"
        for name in names
        if there.get(name) != now.get(name)
    ]


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def request_seed(seed: int, key: str, sample: int, budget: int | None = None) -> int:
    """The seed of one request, a number in [0, 2^31).

    Args:
        seed: Of the evaluation.
        key: Of the problem.
        sample: Which of its samples, from 0.
        budget: Tokens at which the thought was cut, None for none.

    Returns:
        31 bits of BLAKE2b over the values, the same on every machine.
    """
    text = f"{seed}|{key}|{sample}|{'' if budget is None else budget}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little") >> 1
