"""`laser-verl quickstart`: train a tiny reasoner on this computer's CPU; the work is in `laser_verl.quickstart`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from laser_verl.commands.console import Output
from laser_verl.quickstart.plan import STEPS_OF_OWN_MODEL, STEPS_OF_THE_WORLD, make_plan
from laser_verl.quickstart.run import run as run_plan


def run(
    out: Annotated[Path, typer.Option(help="Folder for everything that the run writes.")] = Path("laser_quickstart"),
    method: Annotated[str, typer.Option(help="A method that `laser-verl methods` lists.")] = "laser_d",
    steps: Annotated[
        int | None,
        typer.Option(
            help=f"Training steps; {STEPS_OF_THE_WORLD} unless given ({STEPS_OF_OWN_MODEL} with --model).",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same table.")] = 1,
    nodes: Annotated[int, typer.Option(help="Ray nodes, all on this computer, with one worker each.")] = 1,
    model: Annotated[
        Path | None,
        typer.Option(help="A small checkpoint of your own (slow on a CPU); needs --data.", show_default=False),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Your own verl parquet, for --model.", show_default=False)] = None,
) -> int:
    """Train a tiny reasoner on this computer's CPU.

    Makes problems of three difficulties, trains a small model with a length reward through verl, Ray and vLLM, and
    prints accuracy and tokens on held-out problems before and after. Prints the command that it runs. Ctrl-C stops;
    the same command goes on. Exit code 1 where fewer tokens cost accuracy, or where there are not a fifth fewer.
    """
    plan = make_plan(out, method, steps, seed, nodes, model, data)
    return run_plan(plan, Output(width=max(100, Console().width)), Console(stderr=True))
