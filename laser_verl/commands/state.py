"""`laser-verl state`: what a run has saved beside the weights, and the table of its prompts.

Shape letter: P prompts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from laser_verl.commands import BadInput, CommandError, WrongUsage, message_of
from laser_verl.commands.prompt_table import SUFFIXES, write_table
from laser_verl.core.bands import BANDS, RATE_STEPS, rate_steps
from laser_verl.core.checkpoints import STEP_FOLDER, step_of
from laser_verl.core.prompt_index import key_texts
from laser_verl.core.state import NAME, StateFile, read_state, replacing
from laser_verl.core.tracker import DifficultyTracker

LATEST = "latest_checkpointed_iteration.txt"

_BINS = 10
_BAR_LENGTH = 40


def show(source: str) -> dict[str, Any]:
    """Sum up a state.

    Args:
        source: The file, a `global_step_N` folder, or the folder of a run's checkpoints.

    Returns:
        `path`, `format`, `release`, `step`, `method`, `fingerprint`, `target_length` (tokens of each band; of a mixture
        these for each data source), `sampler` (`policy`, `seed`, `draws`, `round`) and `prompts`: `known`, `seen`,
        `pass_rate` (mean of those seen), `groups` and `responses` drawn, `most_drawn`, `longest_waiting` (`prompt_key`
        and `last_step` of the one whose last draw is longest ago), `histogram` (`from`, `to`, `prompts`). Null is what
        the state does not hold.

    Raises:
        WrongUsage: If there is no state in that place.
        BadInput: If it is damaged or cannot be read.
    """
    path, saved = _read(source)
    method = _part(saved, "method")
    tracker = _tracker(path, saved)
    return {
        "path": str(path),
        "format": saved.version,
        "release": saved.release,
        "step": saved.state.get("step", step_of(path.absolute().parent)),
        "method": method.get("method"),
        "fingerprint": _part(saved, "fingerprint"),
        "target_length": _target_length(method) or None,
        "sampler": _sampler(_part(saved, "sampler")) or None,
        "prompts": None if tracker is None else _prompts(tracker),
    }


def as_text(summary: Mapping[str, Any]) -> str:
    """The summary for people.

    Args:
        summary: What `show` returned.

    Returns:
        Lines of text.
    """
    sampler, prompts, targets = summary["sampler"], summary["prompts"], summary["target_length"] or {}
    facts = {
        "file": summary["path"],
        "written by": f"laser_verl {summary['release']}, format {summary['format']}",
        "step": _or_unknown(summary["step"]),
        "method": _or_unknown(summary["method"]),
        "targets": _listed(targets) or "none saved",
        "fingerprint": ", ".join(f"{key}={value}" for key, value in summary["fingerprint"].items()) or "not described",
        "sampler": "none saved" if sampler is None else f"{sampler['policy']}, {_sampler_text(sampler)}",
        "prompts": "none saved" if prompts is None else _prompts_text(prompts),
    }
    lines = [f"{name:<12}{text}" for name, text in facts.items()]
    return "\n".join([*lines, *(_histogram_lines(prompts) if prompts else [])])


def export(source: str, to: str) -> int:
    """Write the table of prompts, one row for each, in the order of the tracker.

    Args:
        source: As `show` takes it.
        to: The file to make: `.parquet`, `.csv` or `.jsonl`.

    Returns:
        The number of rows.

    Raises:
        WrongUsage: If there is no state in that place, or `to` is there already or ends in another way.
        BadInput: If the state is damaged or holds no prompts.
        CommandError: If the table cannot be written.
    """
    target = Path(to)
    if target.suffix not in SUFFIXES:
        raise WrongUsage(f"--to {to} must end in one of {', '.join(SUFFIXES)}, e.g. prompts.parquet")
    if os.path.lexists(target):
        raise WrongUsage(f"--to {to} exists and is not overwritten; name another file")
    path, saved = _read(source)
    tracker = _tracker(path, saved)
    if tracker is None:
        raise BadInput(
            f"{path} holds no table of prompts: the run kept none; `laser-verl state show` tells what it holds"
        )
    try:
        with replacing(target) as file:
            write_table(file, tracker, target.suffix)
    except OSError as error:
        raise CommandError(f"--to {to} cannot be written: {error.strerror or error}") from error
    return tracker.size


def _read(source: str) -> tuple[Path, StateFile]:
    try:
        path = _find(Path(source))
        return path, read_state(path)
    except OSError as error:
        raise BadInput(f"{source} cannot be read: {error.strerror}; let this user read it") from error
    except ValueError as error:
        raise BadInput(message_of(error).removeprefix("laser_verl: ")) from error


def _find(path: Path) -> Path:
    if not path.exists():
        raise WrongUsage(
            f"{path} does not exist; give a file {NAME}, a {STEP_FOLDER}N folder, or the folder of a run's checkpoints "
            "(trainer.default_local_dir)"
        )
    if not path.is_dir():
        return path
    if (path / NAME).exists():
        return path / NAME
    latest = path / LATEST
    if not latest.exists():
        raise WrongUsage(
            f"{path} holds neither {NAME} nor {LATEST}; give a {STEP_FOLDER}N folder that a run with laser_verl has "
            "saved, or the folder of its checkpoints (trainer.default_local_dir)"
        )
    step = latest.read_text(errors="replace").strip()
    found = path / f"{STEP_FOLDER}{step}" / NAME
    if step_of(found.parent) is None:
        raise BadInput(f"{latest} must hold the number of a step, not {step!r:.40}; give a {STEP_FOLDER}N folder")
    if not found.exists():
        raise BadInput(f"{latest} names step {step}, but {found} is not there; give another {STEP_FOLDER}N folder")
    return found


def _part(saved: StateFile, name: str) -> dict[str, Any]:
    part = saved.state.get(name)
    return part if isinstance(part, dict) else {}


def _tracker(path: Path, saved: StateFile) -> DifficultyTracker | None:
    state = _part(saved, "tracker")
    if not state:
        return None
    tracker = DifficultyTracker()
    try:
        tracker.load_state_dict(state)
    except ValueError as error:
        raise BadInput(f"{path}: {message_of(error)}") from error
    return tracker


def _target_length(method: Mapping[str, Any]) -> dict[str, Any]:
    """Tokens by band, of a mixture by data source and band; empty for a method that saves no targets."""
    targets = method.get("targets")
    if isinstance(targets, np.ndarray) and targets.shape == (len(BANDS),):
        return dict(zip(BANDS, targets.tolist(), strict=True))
    if method.get("method") != "mixed":
        return {}
    parts = {
        source: _target_length({"targets": method.get(f"{place}.targets")})
        for place, source in enumerate(json.loads(method["sources"]))
    }
    return {source: targets for source, targets in parts.items() if targets}


def _sampler(state: Mapping[str, Any]) -> dict[str, Any]:
    position = state.get("position") or {}
    of_policy = position.get("policy") or {}
    known = {"draws": position.get("draws"), "round": of_policy.get("round")}
    return {"policy": state.get("policy"), "seed": state.get("seed"), **known} if state else {}


def _prompts(tracker: DifficultyTracker) -> dict[str, Any]:
    seen = np.flatnonzero(tracker.is_seen())
    rate = tracker.pass_rate(seen)
    counts = np.bincount(np.minimum(rate_steps(rate) * _BINS // RATE_STEPS, _BINS - 1), minlength=_BINS)
    oldest = seen[[np.argmin(tracker.last_step[seen])]] if len(seen) else seen
    waiting = [
        {"prompt_key": key, "last_step": step}
        for key, step in zip(key_texts(tracker.keys[oldest]), tracker.last_step[oldest].tolist(), strict=True)
    ]
    return {
        "known": tracker.size,
        "seen": len(seen),
        "pass_rate": float(rate.mean()) if len(seen) else None,
        "groups": int(tracker.drawn.sum(dtype=np.int64)),
        "responses": int(tracker.responses.sum(dtype=np.int64)),
        "most_drawn": int(tracker.drawn.max(initial=0)),
        "longest_waiting": waiting[0] if waiting else None,
        "histogram": [
            {"from": number / _BINS, "to": (number + 1) / _BINS, "prompts": count}
            for number, count in enumerate(counts.tolist())
        ],
    }


def _or_unknown(value: Any) -> str:
    return "unknown" if value is None else str(value)


def _listed(targets: Mapping[str, Any]) -> str:
    """`easy 2048, medium 4096, hard 8192`, each data source of a mixture in brackets after its name."""
    return ", ".join(
        f"{name} ({_listed(value)})" if isinstance(value, Mapping) else f"{name} {value}"
        for name, value in targets.items()
    )


def _sampler_text(sampler: Mapping[str, Any]) -> str:
    named = [f"{name} {sampler[name]}" for name in ("round", "draws", "seed") if sampler[name] is not None]
    return ", ".join(named) or "at its beginning"


def _prompts_text(prompts: Mapping[str, Any]) -> str:
    text = f"{prompts['known']} known, {prompts['seen']} seen"
    if not prompts["seen"]:
        return text
    mean, longest = prompts["groups"] / prompts["seen"], prompts["longest_waiting"]
    return (
        f"{text}, mean pass rate {prompts['pass_rate']:.3f}\n"
        f"{'drawn':<12}{prompts['groups']} groups of {prompts['responses']} responses in all, {mean:.1f} groups a "
        f"prompt seen, {prompts['most_drawn']} at most\n"
        f"{'waiting':<12}longest {longest['prompt_key']}, last seen at step {longest['last_step']}"
    )


def _histogram_lines(prompts: Mapping[str, Any]) -> Iterator[str]:
    """One line per bin of pass rate, and one for the prompts not seen; the longest bar is 40 signs."""
    rows = [(f"{entry['from']:.1f} to {entry['to']:.1f}", entry["prompts"]) for entry in prompts["histogram"]]
    rows.append(("unseen", prompts["known"] - prompts["seen"]))
    most = max(count for _, count in rows)
    width = len(f"{most}")
    yield f"\n{'pass rate':<12}prompts"
    for name, count in rows:
        # so that one prompt shows among millions
        bar = "#" * -(-count * _BAR_LENGTH // max(most, 1))
        yield f"{name:<12}{count:>{width}} {bar}".rstrip()
