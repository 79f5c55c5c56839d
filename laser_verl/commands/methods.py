"""`laser-verl methods` and `policies`: what can be trained with, where it is set, and the options."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table

from laser_verl.commands.console import Output
from laser_verl.commands.names import METHOD, POLICY, RULE, Entry
from laser_verl.core import framework, registry

_KINDS = {METHOD: "Length rewards", RULE: "Advantage rules", POLICY: "Sampling policies"}


def as_records(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The names for programs, each once.

    Args:
        entries: What `select` returned.

    Returns:
        Per name `{"name", "needs", "options": {name: default}, "source", "set_by", "required": [name]}`: `set_by` is
        the key of verl's config that takes the name, `required` lists the options without a default, which `options`
        shows as null. A name of both kinds is a length reward that has `"advantage_rule"` as well, such a record.
    """
    records = []
    for entry in entries:
        (key, info), *other = entry.parts.items()
        more = {"advantage_rule": _record(*other[0])} if other else {}
        records.append({**_record(key, info), **more})
    return records


def _record(key: str, info: registry.MethodInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "needs": _needs(info),
        "options": dict(info.options),
        "source": info.source,
        "set_by": key,
        "required": list(info.required),
    }


def print_overview(entries: Sequence[Entry]) -> None:
    """Print one row per name for people, a table for each key of verl's config.

    Args:
        entries: What `select` returned.
    """
    for key, kind in _KINDS.items():
        if not (infos := _of_kind(entries, key)):
            continue
        has_needs = key != POLICY
        table = Table(
            Column("name", no_wrap=True),
            *([Column("needs", max_width=15)] if has_needs else []),
            "what it does",
            Column("source", no_wrap=True),
            title=f"{kind}: {key}=NAME",
            title_justify="left",
        )
        for info in infos:
            needs = [", ".join(_needs(info))] if has_needs else []
            table.add_row(info.name, *needs, info.summary, short_source(info.source))
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


def _of_kind(entries: Sequence[Entry], key: str) -> list[registry.MethodInfo]:
    return sorted((entry.parts[key] for entry in entries if key in entry.parts), key=lambda info: info.name)


def _details(key: str, info: registry.MethodInfo) -> RenderableType:
    facts = Table.grid(padding=(0, 2))
    facts.add_row("set by", f"{key}={info.name}")
    facts.add_row("formula", info.formula)
    facts.add_row("source", info.source)
    if key != POLICY:
        facts.add_row("needs", ", ".join(_needs(info)))
    facts.add_row("columns", ", ".join(info.columns) or "none")
    about = Padding(Group(_unwrapped(info.text), "", facts), (0, 0, 1, 2))
    return Group(info.name, about, *([_options(info)] if info.options else []))


def _options(info: registry.MethodInfo) -> Table:
    options = Table("option", Column("default", max_width=24), "meaning")
    for option, default in info.options.items():
        shown = "required" if option in info.required else json.dumps(default)
        options.add_row(option, shown, info.meanings.get(option, ""))
    return options


def _unwrapped(text: str) -> str:
    """A docstring whose paragraphs and list items are one line each, so that they fill the width of the terminal."""
    return re.sub(r"(?<!\n)\n(?!\n| *(?:\d+\.|-) ) *", " ", text)


def _console() -> Output:
    # Formulas hold square brackets, which are no markup.
    return Output(highlight=False, markup=False)


def _needs(info: registry.MethodInfo) -> list[str]:
    """Needs in a fixed order, that of their definition."""
    return [need.value for need in framework.Need if need in info.needs]
