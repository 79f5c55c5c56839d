r"""`laser-verl evaluate`: accuracy and tokens on benchmarks; the work is in `laser_verl.evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from laser_verl.commands import WrongUsage
from laser_verl.commands.console import Output
from laser_verl.commands.output import write
from laser_verl.data.prepare.templates import TEMPLATES
from laser_verl.evaluate.plan import Request
from laser_verl.evaluate.problems import BENCHMARKS, FEW_SAMPLES, MANY_SAMPLES, MOST_ROWS_OF_MANY
from laser_verl.evaluate.run import evaluate, report
from laser_verl.evaluate.settings import DTYPES
from laser_verl.evaluate.tables import as_tables

_WITH_RECORDED = ("inputs", "recorded", "out", "as_json")


def run(
    context: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="A Hugging Face folder, a global_step_N of verl, or a name on the hub; after --from, more files.",
        ),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help=f"{', '.join(BENCHMARKS)}, or a file with problem and answer (.jsonl, .parquet, .csv, .json) or "
            "verl's columns; again for more.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the results.", show_default=False)
    ] = None,
    recorded: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Recompute everything from recorded samples, without a model; several models are compared.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=f"A problem; unless given {MANY_SAMPLES} for up to {MOST_ROWS_OF_MANY} problems, else {FEW_SAMPLES}.",
            show_default=False,
        ),
    ] = None,
    temperature: Annotated[float, typer.Option(help="Of sampling; 0 is greedy.")] = 0.6,
    top_p: Annotated[float, typer.Option(help="Of sampling.")] = 0.95,
    max_tokens: Annotated[int, typer.Option(metavar="N", help="Longest response.")] = 32768,
    seed: Annotated[int, typer.Option(help="Same seed, same responses.")] = 1,
    dtype: Annotated[
        str,
        typer.Option(
            metavar="|".join(DTYPES),
            help="Precision. With float32 responses hardly depend on what is generated beside them; with 16 bits they "
            "vary with the batch, and so with a resume.",
        ),
    ] = "bfloat16",
    template: Annotated[
        str, typer.Option(metavar="NAME", help=f"Prompt template, {', '.join(TEMPLATES)}; not of verl's columns.")
    ] = "paper",
    thinking: Annotated[str, typer.Option(metavar="NAME", help="Format: deepseek, boxed, answer_tag.")] = "deepseek",
    budgets: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,…",
            help="Also cut each thought after so many tokens and ask for the answer; 0 is no thought.",
            show_default=False,
        ),
    ] = None,
    cue: Annotated[
        str, typer.Option(metavar="TEXT", help=r"With --budgets: what follows the end of a thought; \n is a line end.")
    ] = r"\n\n**Final Answer**\n\boxed{",
    answer_tokens: Annotated[int, typer.Option(metavar="N", help="With --budgets: longest answer.")] = 512,
    workers: Annotated[
        int, typer.Option(metavar="N", help="Copies of the model, spread over the GPUs of a Ray cluster.")
    ] = 1,
    tensor_parallel: Annotated[int, typer.Option(metavar="N", help="GPUs of each copy.")] = 1,
    max_num_seqs: Annotated[
        int | None, typer.Option(metavar="N", help="Responses generated at once.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON in place of the tables.")] = False,
) -> None:
    """Measure accuracy and tokens on benchmarks.

    Writes every response to samples.jsonl as it comes, then summary.json, verdicts.jsonl, table.md and evaluation.png.
    After a kill the same command goes on with what is missing. The defaults are the paper's.
    """
    if recorded is not None:
        _refuse_generation(context)
        summary = report([Path(name).expanduser() for name in (recorded, *(inputs or []))], out, _say)
    else:
        summary = evaluate(
            Request(
                model=_only(inputs),
                on=on or [],
                out=_given(out),
                samples=samples,
                temperature=temperature,
                top_p=top_p,
                max_tokens=max_tokens,
                seed=seed,
                dtype=dtype,
                template=template,
                thinking=thinking,
                budgets=budgets,
                cue=cue.replace(r"\n", "\n"),
                answer_tokens=answer_tokens,
                workers=workers,
                tensor_parallel=tensor_parallel,
                max_num_seqs=max_num_seqs,
            ),
            _say,
        )
    _print(summary, as_json)


def _refuse_generation(context: typer.Context) -> None:
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name not in _WITH_RECORDED and source is not None and source.name == "COMMANDLINE":
            raise WrongUsage(
                f"--from takes recorded samples with their settings, and {parameter.opts[0]} is of new ones; leave out "
                "one"
            )


def _only(inputs: list[str] | None) -> str:
    if not inputs:
        raise WrongUsage("MODEL is missing; give a folder or a name on the hub, or --from samples.jsonl")
    if len(inputs) > 1:
        raise WrongUsage(
            f"{', '.join(inputs)}: one MODEL at a time; compare them by --from A/samples.jsonl B/samples.jsonl"
        )
    return inputs[0]


def _given(out: Path | None) -> Path:
    if out is None:
        raise WrongUsage("--out is missing; give a folder for the results")
    return out


def _say(text: str) -> None:
    typer.echo(f"laser_verl: {text}", err=True)


def _print(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        write(json.dumps(summary, ensure_ascii=False, allow_nan=False))
        return
    console = Output(width=max(120, Console().width))
    for table in as_tables(summary):
        console.print(table)
