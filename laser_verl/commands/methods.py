"""`laser-verl methods`: what can be trained with, and the options."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from laser_verl.commands import WrongUsage, message_of
from laser_verl.core import framework, registry


def select(name: str | None) -> list[registry.MethodInfo]:
    """One method, or all of them by name.

    Args:
        name: Registry key, or None for all.

    Returns:
        What the registry knows of each.

    Raises:
        WrongUsage: If no method has this name.
    """
    try:
        return [registry.describe(known) for known in ([name] if name is not None else registry.method_names())]
    except (ValueError, KeyError) as error:
        raise WrongUsage(message_of(error)) from error


def as_records(methods: Sequence[registry.MethodInfo]) -> list[dict[str, Any]]:
    """The methods for programs.

    Args:
        methods: What `select` returned.

    Returns:
        Per method `{"name", "needs", "options": {name: default}, "source"}`.
    """
    return [
        {"name": method.name, "needs": _needs(method), "options": dict(method.options), "source": method.source}
        for method in methods
    ]


def print_overview(methods: Sequence[registry.MethodInfo]) -> None:
    """Print one row per method for people.

    Args:
        methods: What `select` returned.
    """
    table = Table("method", "needs", "what it does", "source")
    for method in methods:
        table.add_row(method.name, ", ".join(_needs(method)), method.summary, method.source)
    _console().print(table)


def print_details(method: registry.MethodInfo) -> None:
    """Print one method with its formula and options for people.

    Args:
        method: What `select` returned.
    """
    facts = Table("", "", box=None, show_header=False)
    facts.add_row(method.name, method.summary)
    facts.add_row("formula", method.formula)
    facts.add_row("source", method.source)
    facts.add_row("needs", ", ".join(_needs(method)))
    meanings = method.meanings
    options = Table("option", "default", "meaning")
    for option, default in method.options.items():
        options.add_row(option, "required" if option in method.required else json.dumps(default), meanings[option])
    _console().print(facts, options)


def _console() -> Console:
    # Formulas hold square brackets, which are no markup.
    return Console(highlight=False, markup=False)


def _needs(method: registry.MethodInfo) -> list[str]:
    """Needs in a fixed order, that of their definition."""
    return [need.value for need in framework.Need if need in method.needs]
