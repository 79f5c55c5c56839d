"""What `laser-verl prepare` was asked for, checked before anything is read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from laser_verl.commands import WrongUsage
from laser_verl.core.checks import unknown
from laser_verl.data.prepare.layouts import LAYOUTS, Layout, table_layout
from laser_verl.data.prepare.templates import TEMPLATES, Template

TABLE = "table"
GYM = "reasoning_gym"
TINY_WORLD = "tiny_world"
SOURCES = (*(name for name in LAYOUTS if name not in (GYM, TINY_WORLD)), TABLE, GYM, TINY_WORLD)
"""What the command takes as SOURCE."""

LIST, DROP, OFF = GOLDS = ("list", "drop", "off")
"""What is done about golds that cannot be read."""

MOST_PROMPT_TOKENS = 1024
"""Of the paper's settings."""

_DEFAULT_ROWS = {GYM: 1000, TINY_WORLD: 1800}
_MOST_ROWS = 10**8


@dataclass(frozen=True)
class Request:
    """The options as the user gave them; None is an option left out."""

    source: str
    inputs: Sequence[str]
    to: Path
    template: str | None = None
    columns: str | None = None
    data_source: str | None = None
    difficulty: str | None = None
    budget: str | None = None
    monitor: int = 500
    validation: int = 500
    seed: int = 1
    against: Sequence[Path] = ()
    is_decontaminating: bool = True
    golds: str = LIST
    model: Path | None = None
    max_prompt_tokens: int | None = None
    license: str | None = None
    rows: int | None = None
    parameters: str | None = None


@dataclass(frozen=True)
class Plan:
    """A request that can be carried out, its names looked up.

    Attributes:
        request: As it was given.
        layout: Of the rows.
        template: Of the prompts.
        template_name: Its name.
        budget: Lowest and highest number of tokens to draw each prompt's budget from, None for no such option.
        rows: How many problems to make, 0 where they come from files.
        parameters: Of a task of reasoning-gym.
    """

    request: Request
    layout: Layout
    template: Template
    template_name: str
    budget: tuple[int, int] | None
    rows: int
    parameters: Mapping[str, Any]

    @property
    def is_made(self) -> bool:
        """Whether the problems are made here, not read."""
        return self.rows > 0


def make_plan(request: Request) -> Plan:
    """Check a request.

    Args:
        request: What the user gave.

    Returns:
        The plan.

    Raises:
        WrongUsage: If a name is unknown, a value out of range, or an option has no effect with the source.
    """
    if request.source not in SOURCES:
        raise WrongUsage(unknown("source", request.source, SOURCES))
    _refuse_options_without_effect(request)
    layout = _layout(request)
    name = request.template or layout.template
    if name not in TEMPLATES:
        raise WrongUsage(unknown("template", name, TEMPLATES))
    if request.golds not in GOLDS:
        raise WrongUsage(f"--golds: {unknown('choice', request.golds, GOLDS)}")
    for option, number, least in (
        ("monitor", request.monitor, 0),
        ("validation", request.validation, 0),
        ("max-prompt-tokens", request.max_prompt_tokens, 1),
    ):
        if number is not None and not least <= number <= _MOST_ROWS:
            raise WrongUsage(f"--{option} {number} must be from {least} to {_MOST_ROWS}; give e.g. 500")
    return Plan(
        request,
        layout,
        TEMPLATES[name],
        name,
        _budget(request.budget),
        _num_rows(request),
        _parameters(request.parameters),
    )


def _refuse_options_without_effect(request: Request) -> None:
    is_made = request.source in (GYM, TINY_WORLD)
    effects = (
        ("--columns", request.columns, request.source == TABLE, f"the source {TABLE}"),
        ("--data-source", request.data_source, request.source == TABLE, f"the source {TABLE}"),
        ("--rows", request.rows, is_made, f"the sources {GYM} and {TINY_WORLD}"),
        ("--parameters", request.parameters, request.source == GYM, f"the source {GYM}"),
        ("--difficulty", request.difficulty, not is_made, "data that are read from files"),
        ("--max-prompt-tokens", request.max_prompt_tokens, request.model is not None, "--model"),
        ("--against", request.against or None, request.is_decontaminating, "decontamination"),
    )
    for option, value, has_effect, needed in effects:
        if value is not None and not has_effect:
            raise WrongUsage(f"{option} has an effect only with {needed}; leave it out")
    if bool(request.inputs) == (request.source == TINY_WORLD):
        raise WrongUsage(
            f"{TINY_WORLD} is made here and reads no INPUT; leave out {' '.join(request.inputs)}"
            if request.inputs
            else f"{request.source} needs INPUT: {_what_input(request.source)}"
        )


def _what_input(source: str) -> str:
    if source == GYM:
        return "the name of a task, e.g. chain_sum"
    hub = LAYOUTS[source].hub if source in LAYOUTS else None
    return "files or a folder, or a name on the hub" + (f" such as {hub}" if hub else "")


def _layout(request: Request) -> Layout:
    layout = table_layout(request.columns, request.data_source) if request.source == TABLE else LAYOUTS[request.source]
    if request.difficulty is not None:
        if request.source == TABLE and "difficulty" in layout.fields:
            raise WrongUsage("--difficulty and --columns both name a column of difficulties; leave out one")
        read = {name: function for name, function in layout.read.items() if name != "difficulty"}
        layout = replace(layout, fields={**layout.fields, "difficulty": request.difficulty}, read=read)
    if request.budget is not None and "budget" in layout.fields:
        raise WrongUsage("--budget gives every row a budget, and --columns names a column of them; leave out one")
    return replace(layout, license=request.license) if request.license else layout


def _budget(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,8})(?:-([0-9]{1,8}))?", text)
    low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 0 < low <= high:
        raise WrongUsage(f"--budget {text} must be tokens, or two numbers to draw from; give e.g. 2000, or 100-4000")
    return low, high


def _num_rows(request: Request) -> int:
    if request.source not in _DEFAULT_ROWS:
        return 0
    rows = _DEFAULT_ROWS[request.source] if request.rows is None else request.rows
    if not 1 <= rows <= _MOST_ROWS:
        raise WrongUsage(f"--rows {rows} must be from 1 to {_MOST_ROWS}; give e.g. {_DEFAULT_ROWS[request.source]}")
    if request.source == TINY_WORLD and rows % 3:
        raise WrongUsage(f"--rows {rows} must be a multiple of 3, for there are three difficulties; give e.g. 1800")
    return rows


def _parameters(text: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise WrongUsage(f"--parameters {text} is no JSON ({error}); give e.g. '{{\"max_terms\": 4}}'") from error
    if not isinstance(found, dict):
        raise WrongUsage(f"--parameters {text} must be an object; give e.g. '{{\"max_terms\": 4}}'")
    return found
