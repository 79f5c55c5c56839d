"""`laser-verl presets`: the choices of each group of the configs, and what the papers published."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from laser_verl.commands import WrongUsage
from laser_verl.commands.console import Output
from laser_verl.commands.output import write
from laser_verl.presets import AVERAGE, GROUPS, Preset, Published, folder, presets


def run(
    group: Annotated[
        str | None,
        typer.Argument(metavar="GROUP", help=f"One group only: {', '.join(GROUPS)}.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output, for programs.")] = False,
    only_path: Annotated[
        bool, typer.Option("--path", help="Print the folder of the configs, for --config-path.")
    ] = False,
) -> None:
    """List the presets of the wheel.

    They are chosen as GROUP=NAME beside `--config-path "$(laser-verl presets --path)" --config-name laser_verl`; paper
    presets choose from the other groups, and what the command line says wins over all of them.

    In JSON, each preset has group, name and summary; those of the group paper have published too: source, table, row,
    accuracy in percent and tokens by benchmark, note.
    """
    try:
        found = [preset for name in ([group] if group else GROUPS) for preset in presets(name)]
    except ValueError as error:
        raise WrongUsage(str(error)) from error
    if only_path:
        write(str(folder() / (group or "")))
    elif as_json:
        write(json.dumps([_record(preset) for preset in found]))
    else:
        _print_tables(found)


def _record(preset: Preset) -> dict[str, Any]:
    record = asdict(preset)
    if preset.group != "paper":
        del record["published"]
    return record


def _print_tables(found: Sequence[Preset]) -> None:
    console = Output(highlight=False, markup=False)
    for (group, where), members in _by_table(found).items():
        table = _table(members) if group != "paper" else _paper_table(members, has_source=where is None)
        meaning = GROUPS[group] if group != "paper" else where or "other published trainings"
        table.title = f"{group}=NAME: {meaning}"
        table.title_justify = "left"
        console.print(table)


def _by_table(found: Sequence[Preset]) -> dict[tuple[str, str | None], list[Preset]]:
    """The presets by group, those of a paper's table apart."""
    parts: dict[tuple[str, str | None], list[Preset]] = {}
    for preset in found:
        of = preset.published
        parts.setdefault(
            (preset.group, f"{of.table} of {of.source}, averages" if of and of.table else None), []
        ).append(preset)
    return parts


def _table(found: Sequence[Preset]) -> Table:
    table = Table(Column("name", no_wrap=True), "what it is")
    for preset in found:
        table.add_row(preset.name, preset.summary)
    return table


def _paper_table(found: Sequence[Preset], has_source: bool) -> Table:
    numbers = (Column("accuracy %", justify="right", no_wrap=True), Column("tokens", justify="right", no_wrap=True))
    source = [Column("source", no_wrap=True)] if has_source else []
    table = Table(Column("name", no_wrap=True), *source, Column("row", min_width=18), *numbers)
    for preset in found:
        if (of := preset.published) is None:
            table.add_row(preset.name, *([""] if has_source else []), preset.summary)
        else:
            table.add_row(preset.name, *([of.source] if has_source else []), of.row, *_numbers(of))
    return table


def _numbers(of: Published) -> tuple[str, str]:
    """Accuracy and tokens to show: the averages, or those of one benchmark with its name."""
    if (key := of.headline) is None:
        return "", ""
    of_one = "" if key == AVERAGE else f"{key} "
    return f"{of_one}{of.accuracy[key]}", f"{of.tokens[key]:,}" if key in of.tokens else ""
