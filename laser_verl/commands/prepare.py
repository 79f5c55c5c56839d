"""`laser-verl prepare`: a data set becomes verl's parquet; the work is in `laser_verl.data.prepare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from laser_verl.commands.output import write
from laser_verl.data.prepare.card import REASONS
from laser_verl.data.prepare.plan import GOLDS, LIST, MOST_PROMPT_TOKENS, SOURCES, Request, make_plan
from laser_verl.data.prepare.run import prepare
from laser_verl.data.prepare.templates import TEMPLATES


def run(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=f"One of {', '.join(SOURCES)}.")],
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="A new folder for the parquet files and the card.")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Files (.parquet, .json, .jsonl, .csv), folders, or names on the hub; for reasoning_gym, tasks.",
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Prompt template: {', '.join(TEMPLATES)}; paper unless given, for tiny_world plain.",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD=COLUMN,…",
            help="For table: problem and gold, or golds where these are lists; also difficulty, budget, data_source.",
            show_default=False,
        ),
    ] = None,
    data_source: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For table: what chooses the scorer; math unless given.", show_default=False),
    ] = None,
    difficulty: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column for extra_info.difficulty; dots lead inside.", show_default=False),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="N|LOW-HIGH", help="Tokens for extra_info.budget, drawn for each prompt.", show_default=False
        ),
    ] = None,
    monitor: Annotated[int, typer.Option(metavar="N", help="Most prompts of monitor.parquet; 0 for none.")] = 500,
    validation: Annotated[int, typer.Option(metavar="N", help="Most prompts of validation.parquet; 0 for none.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the splits, of budgets, and of problems that are made.")] = 1,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="An evaluation set more whose problems are left out; again for others.", exists=True
        ),
    ] = None,
    decontaminate: Annotated[
        bool, typer.Option(help="Leave out problems of AIME 2024, AMC 2023 and --against.")
    ] = True,
    golds: Annotated[
        str, typer.Option(metavar="|".join(GOLDS), help="What to do about golds that the scorer cannot read.")
    ] = LIST,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="A model or tokenizer to measure prompts by.",
            exists=True,
            show_default=False,
        ),
    ] = None,
    max_prompt_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help=f"With --model; {MOST_PROMPT_TOKENS} unless given.", show_default=False),
    ] = None,
    license: Annotated[
        str | None, typer.Option(metavar="TEXT", help="For the card, in place of what is known.", show_default=False)
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Problems to make of each task (1000), or of tiny_world (1800).", show_default=False
        ),
    ] = None,
    parameters: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Configuration of the tasks of reasoning_gym.", show_default=False),
    ] = None,
) -> None:
    """Turn a data set into verl's parquet.

    Writes train.parquet, monitor.parquet and validation.parquet, a data card (card.json, README.md), and findings.jsonl
    with the rows that were left out or have a gold that cannot be read. Prints the card as JSON. The same input gives
    the same bytes.
    """
    request = Request(
        source=source,
        inputs=inputs or [],
        to=to,
        template=template,
        columns=columns,
        data_source=data_source,
        difficulty=difficulty,
        budget=budget,
        monitor=monitor,
        validation=validation,
        seed=seed,
        against=against or [],
        is_decontaminating=decontaminate,
        golds=golds,
        model=model,
        max_prompt_tokens=max_prompt_tokens,
        license=license,
        rows=rows,
        parameters=parameters,
    )
    card = prepare(make_plan(request))
    for line in _summary(card, to):
        typer.echo(f"laser_verl: {line}", err=True)
    write(json.dumps(card, ensure_ascii=False))


def _summary(card: dict[str, Any], folder: Path) -> list[str]:
    rows = card["rows"]
    lines = [
        f"{rows['read']} rows read; {rows['train']} to train on, {rows['monitor']} to monitor, {rows['validation']} to "
        f"validate on, in {folder}"
    ]
    lines += [f"left out {number}: {REASONS[reason]}" for reason, number in card["left_out"].items()]
    lines += [f"kept {number} all the same: {REASONS[reason]}" for reason, number in card["kept_with_finding"].items()]
    if card["without_scorer"]:
        names = ", ".join(card["without_scorer"])
        lines.append(f"golds of {names} were not checked; a run needs +reward.reward_kwargs.scorers.default=…")
    return lines
