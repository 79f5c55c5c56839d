"""`laser-verl methods`: what can be trained with, where it is set, and the options."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table

from laser_verl.commands import WrongUsage, message_of
from laser_verl.core import framework, registry
from laser_verl.core.advantages.base import describe_rule, rule_names
from laser_verl.core.checks import unknown

METHOD = "reward.reward_manager.name"
RULE = "algorithm.adv_estimator"

_KINDS = {METHOD: "Length rewards", RULE: "Advantage rules"}
_FIND = {METHOD: registry.describe, RULE: describe_rule}


@dataclass(frozen=True)
class Entry:
    """What one name stands for.

    Attributes:
        name: As users write it.
        parts: What the registries know of it, by the key of verl's config that takes the name: a length reward, an
            advantage rule, or both.
    """

    name: str
    parts: Mapping[str, registry.MethodInfo]


def select(name: str | None) -> list[Entry]:
    """One name, or all of them: first the length rewards, then the names that are advantage rules only.

    Of all, what another package brings and cannot be imported is left out, which standard error says.

    Args:
        name: Registered name, or None for all.

    Returns:
        What the registries know of each.

    Raises:
        WrongUsage: If nothing has this name, or it cannot be imported.
    """
    known = {METHOD: registry.method_names(), RULE: rule_names()}
    names = list(dict.fromkeys([*known[METHOD], *known[RULE]]))
    if name is not None and name not in names:
        raise WrongUsage(unknown("method", name, names))
    entries = []
    for chosen in names if name is None else [name]:
        try:
            entries.append(Entry(chosen, {key: _FIND[key](chosen) for key in known if chosen in known[key]}))
        except (ValueError, KeyError) as error:
            if name is not None:
                raise WrongUsage(message_of(error)) from error
            typer.echo(f"left out: {message_of(error)}", err=True)
    return entries


def as_records(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The names for programs; one that is both a length reward and an advantage rule appears as the former.

    Args:
        entries: What `select` returned.

    Returns:
        Per name `{"name", "needs", "options": {name: default}, "source"}`.
    """
    infos = [next(iter(entry.parts.values())) for entry in entries]
    return [
        {"name": info.name, "needs": _needs(info), "options": dict(info.options), "source": info.source}
        for info in infos
    ]


def print_overview(entries: Sequence[Entry]) -> None:
    """Print one row per name for people, a table for each key of verl's config.

    Args:
        entries: What `select` returned.
    """
    for key, kind in _KINDS.items():
        table = Table(
            Column("name", no_wrap=True),
            Column("needs", max_width=15),
            "what it does",
            Column("source", no_wrap=True),
            title=f"{kind}: {key}=NAME",
            title_justify="left",
        )
        of_kind = [entry.parts[key] for entry in entries if key in entry.parts]
        for info in sorted(of_kind, key=lambda info: info.name):
            table.add_row(info.name, ", ".join(_needs(info)), info.summary, short_source(info.source))
        _console().print(table)


def print_details(entry: Entry) -> None:
    """Print one name with its documentation, formula, needs, columns and options for people.

    Args:
        entry: What `select` returned.
    """
    _console().print(*(_details(key, info) for key, info in entry.parts.items()), sep="\n")


def short_source(source: str) -> str:
    """The paper without its section: "arXiv 2505.15612" of "arXiv 2505.15612, Eq. 2 and Table 2"."""
    return re.split(r"[,;]", source)[0]


def _details(key: str, info: registry.MethodInfo) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    facts.add_row("set by", f"{key}={info.name}")
    facts.add_row("formula", info.formula)
    facts.add_row("source", info.source)
    facts.add_row("needs", ", ".join(_needs(info)))
    facts.add_row("columns", ", ".join(info.columns) or "none")
    options = Table("option", Column("default", max_width=24), "meaning")
    for option, default in info.options.items():
        shown = "required" if option in info.required else json.dumps(default)
        options.add_row(option, shown, info.meanings.get(option, ""))
    return Group(info.name, Padding(Group(_unwrapped(info.text), "", facts), (0, 0, 1, 2)), options)


def _unwrapped(text: str) -> str:
    """A docstring whose paragraphs and list items are one line each, so that they fill the width of the terminal."""
    return re.sub(r"(?<!\n)\n(?!\n| *(?:\d+\.|-) ) *", " ", text)


def _console() -> Console:
    # Formulas hold square brackets, which are no markup.
    return Console(highlight=False, markup=False)


def _needs(info: registry.MethodInfo) -> list[str]:
    """Needs in a fixed order, that of their definition."""
    return [need.value for need in framework.Need if need in info.needs]
