"""The arithmetic of `laser-verl check --memory`, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from laser_verl.memory import GIB, Estimate, Phase


def as_record(estimate: Estimate) -> dict[str, Any]:
    """The sums for programs, in bytes.

    Args:
        estimate: What `check --memory` found.

    Returns:
        `{"gpu", "parameters", "fits", "phases": [{"name", "total", "items": [{"name", "size", "how"}]}], "on_host",
        "cache_per_token", "longest", "full_sequences", "gpus_per_replica", "sequences"}`.
    """
    phases = [{**asdict(phase), "total": phase.total} for phase in estimate.phases]
    return {**asdict(estimate), "phases": phases, "fits": estimate.fits}


def as_lines(estimate: Estimate) -> Iterator[str]:
    """The sums for people.

    Args:
        estimate: What `check --memory` found.

    Yields:
        Lines of a table: what, GiB, and the arithmetic.
    """
    yield f"memory        GiB of each GPU of {estimate.gpu / GIB:g}; {estimate.parameters:,} parameters"
    for phase in estimate.phases:
        yield f"  {phase.name:<34}{_gib(phase.total)}{_over(phase, estimate)}"
        for item in phase.items:
            yield f"    {item.name:<32}{_gib(item.size)}  {item.how}"
    yield f"  {'in the host memory, for each GPU':<34}{_gib(estimate.on_host)}"
    gpus = f" of {estimate.gpus_per_replica} GPUs" if estimate.gpus_per_replica > 1 else ""
    room = f"{estimate.full_sequences:,} sequences of {estimate.longest:,} tokens"
    per_token = f"{estimate.cache_per_token / 1024:,.0f} KiB a token on each GPU"
    yield f"  KV cache: {per_token}; a replica{gpus} holds {room}, and takes up to {estimate.sequences} at a time"


def _gib(size: float) -> str:
    return f"{size / GIB:8.2f}"


def _over(phase: Phase, estimate: Estimate) -> str:
    return "" if phase.total <= estimate.gpu else f"  {(phase.total - estimate.gpu) / GIB:.1f} more than there is"
