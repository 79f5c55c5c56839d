"""`laser-verl check`: the arguments of a training run, checked before a model loads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import typer

from laser_verl.commands.memory_text import as_lines, as_record
from laser_verl.commands.output import write
from laser_verl.verl_ext.checks import Report, check, read_arguments


def run(arguments: Sequence[str]) -> int:
    """Check, and print what is active or every mistake.

    Args:
        arguments: What would follow `python -m verl.trainer.main_ppo`; `--json` anywhere among them prints one JSON
            object instead of text, `--memory` or `--memory=GIB` adds what the run takes of each GPU.

    Returns:
        0 if the run may start, 1 if not.

    Raises:
        WrongUsage: If the command line cannot be read.
    """
    given = read_arguments(arguments)
    report = check(given)
    if given.as_json:
        found: dict[str, Any] = {"ok": report.ok, "errors": [asdict(mistake) for mistake in report.mistakes]}
        found["active"] = {**report.active, "notes": report.notes}
        if given.gpu_gib is not None:
            found["memory"] = as_record(report.memory) if report.memory else None
        write(json.dumps(found, default=str))
    elif report.ok:
        write("\n".join(_as_lines(report)))
    else:
        _print_mistakes(report)
    return 0 if report.ok else 1


def _print_mistakes(report: Report) -> None:
    for mistake in report.mistakes:
        typer.echo(f"laser_verl: error: {mistake.message}", err=True)
    for note in report.notes:
        typer.echo(f"laser_verl: note: {note}", err=True)
    number = len(report.mistakes)
    seconds = report.active["seconds"]
    typer.echo(f"laser_verl: {number} mistake{'s' if number > 1 else ''}, found in {seconds} s", err=True)


def _as_lines(report: Report) -> Iterator[str]:
    active = report.active
    yield _line("method", active["method"] or f"none of ours ({active['reward_manager']})")
    if active["method"]:
        yield _line("options", _pairs(active["options"]))
        if active["targets"]:
            yield _line("targets", active["targets"])
        yield _line("verification", _pairs(active["verification"]))
        yield _line("shaped on", active["shaped_on"])
    yield _line("trainer", f"{active['trainer']}, advantage {active['adv_estimator']}")
    if "sampler" in active:
        yield _line("sampler", _pairs(active["sampler"]))
    for name, split in active.get("data", {}).items():
        yield _line(f"{name} data", f"{split['rows']} rows, data_source {', '.join(split['data_sources'])}")
    yield _line("model", active["model"])
    if "think_tags" in active:
        yield _line("think tags", active["think_tags"])
    if active.get("scorers"):
        yield _line("scorers", _pairs(active["scorers"]))
    if "custom_reward_function" in active:
        yield _line("scored by", active["custom_reward_function"])
    if active["method"]:
        seed = active["seeded"]
        yield _line("sampling", "not seeded" if seed is None else f"seeded by {seed}")
    for note in report.notes:
        yield _line("note", note)
    yield from as_lines(report.memory) if report.memory else ()
    yield _line("check", f"no mistake found in {active['seconds']} s")


def _line(name: str, value: object) -> str:
    return f"{name:<14}{value}"


def _pairs(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={json.dumps(value, default=str)}" for key, value in options.items())
