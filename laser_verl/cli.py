"""The command line `laser-verl` (also `python -m laser_verl`).

Other programs call these commands, so their names, options and output are API. Machine output is JSON or JSONL on
standard output, messages go to standard error; exit code 0 done, 1 the thing looked at is bad or the output cannot be
written, 2 wrong usage, 141 nobody reads the output any more. Each command's work is in `laser_verl.commands` and is
imported when the command runs: the command line itself needs neither verl nor torch.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from types import ModuleType
from typing import Annotated, Any

import typer

from laser_verl.commands import CommandError, WrongUsage
from laser_verl.commands.output import write

PROGRAM = "laser-verl"


def _example(command: str) -> str:
    """The end of a command's help; the backspace keeps click from breaking the line, so that it can be pasted."""
    return f"\b\nExample:\n  {command}"


app = typer.Typer(
    name=PROGRAM,
    help="Length-aware rewards for verl: reasoning models that think as long as a question needs and no longer.",
    epilog=_example("laser-verl methods laser_d"),
    no_args_is_help=True,
    add_completion=False,
    # Plain help keeps examples on one line that can be pasted; plain tracebacks are what users report best.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class Rounding(StrEnum):
    """How the least number of correct responses of a band is rounded."""

    CEIL = "ceil"
    FLOOR = "floor"


state_app = typer.Typer(
    help="Look into what a run saves beside its weights, the file laser_state of each checkpoint.",
    epilog=_example("laser-verl state show checkpoints/global_step_40"),
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(state_app, name="state")

InputFile = Annotated[
    str,
    typer.Option(
        "--input",
        metavar="FILE",
        help="JSONL with one batch a line, a rollout dump or the folder of them; - is standard input.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, for programs.")]
StatePath = Annotated[
    str,
    typer.Argument(
        metavar="PATH",
        help="A file laser_state, a global_step_N folder, or a run's folder of these, of which it takes the latest.",
        show_default=False,
    ),
]


@app.command(epilog=_example("laser-verl info --json"))
def info(as_json: AsJson = False) -> None:
    """Print versions and registrations.

    Shows what is registered with verl, what failed to register and why. Importing all of verl takes some seconds.
    """
    from laser_verl.commands import info as command

    with _errors_as_exit_codes():
        report = command.gather()
        write(_dump(report) if as_json else command.as_text(report))


@app.command(epilog=_example("laser-verl methods laser_d --json"))
def methods(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One method only.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Print the methods, the advantage rules, and their options.

    Shows what each method needs and its source; with NAME also its formula and the defaults of its options.

    In JSON, set_by is the key of verl's config that takes the name; a name that is a length reward and an advantage
    rule has the latter under advantage_rule. An option is null where that is its default, and where it has none: these
    are the ones under required.
    """
    from laser_verl.commands import methods as command
    from laser_verl.commands.names import select

    with _errors_as_exit_codes():
        chosen = select(name)
        if as_json:
            write(_dump(command.as_records(chosen)))
        elif name is None:
            command.print_overview(chosen)
        else:
            command.print_details(chosen[0])


@app.command(epilog=_example("laser-verl policies band_mix"))
def policies(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One policy only.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Print the sampling policies, which choose the prompts of a step, and their options.

    With NAME also the formula, the source and the defaults. A policy is set by
    '+laser.sampler={policy: NAME, OPTION: VALUE}'.
    """
    from laser_verl.commands import methods as command
    from laser_verl.commands.names import select_policies

    with _errors_as_exit_codes():
        chosen = select_policies(name)
        if as_json:
            write(_dump(command.as_records(chosen)))
        elif name is None:
            command.print_overview(chosen)
        else:
            command.print_details(chosen[0])


@app.command(
    epilog=_example("""laser-verl simulate laser --input rollouts.jsonl --options '{"target_length": 4096}'""")
)
def simulate(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="A name that `laser-verl methods` lists.")],
    input_file: InputFile,
    options: Annotated[
        str, typer.Option(metavar="JSON", help="The method's options, as under reward.reward_kwargs.")
    ] = "{}",
) -> None:
    """Apply a method to recorded rollouts.

    Prints one line of rewards per training batch.

    An input line is {"prompt": [...], "response_length": [...], "correct": [...], "well_formed": [...]} with one value
    per response; optional: repetitive, truncated, task_score, step, max_response_length, any column a method names.
    An advantage rule is applied to plain correctness and adds "advantage" to each line. Where a length reward has the
    same name, as grpo_lead, that is what is applied, and the rule is not simulated.
    Rollout dumps of laser_verl's trainer modes are read as well. State, as adaptive target lengths, carries from line
    to line.
    """
    from laser_verl.commands import simulate as command

    with _errors_as_exit_codes():
        for line in command.run(method, input_file, options):
            write(_dump(line))


@app.command(
    epilog=_example(
        "laser-verl targets --input rollouts.jsonl --lower 2048 --upper 16384 --interval 1024 --rounding ceil"
    )
)
def targets(
    input_file: InputFile,
    lower: Annotated[int, typer.Option(help="Smallest target length, tokens.")] = 2048,
    upper: Annotated[int, typer.Option(help="Largest target length, tokens; what an empty band gets.")] = 16384,
    interval: Annotated[int, typer.Option(help="Tokens from one candidate to the next.")] = 1024,
    rounding: Annotated[
        Rounding, typer.Option(help="ceil as in the paper, or floor as in the released code.")
    ] = Rounding.CEIL,
) -> None:
    """Choose target lengths from recorded rollouts.

    Prints the target length of each difficulty band, chosen from all lines together, with the coverage behind it. Of a
    folder with the passes over a monitor set in monitor/, the last pass gives the same once more, under "monitor".
    """
    from laser_verl.commands import targets as command

    with _errors_as_exit_codes():
        write(_dump(command.run(input_file, lower, upper, interval, rounding.value)))


@app.command(epilog=_example("laser-verl score --input responses.jsonl --thinking boxed"))
def score(
    input_file: Annotated[
        str, typer.Option("--input", metavar="FILE", help="JSONL with one response a line; - is standard input.")
    ],
    thinking: Annotated[
        str,
        typer.Option(metavar="NAME", help="Format: deepseek, boxed, answer_tag, or one that a package of yours adds."),
    ] = "deepseek",
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Limit of one symbolic comparison.")] = 5.0,
) -> None:
    """Score recorded responses.

    Prints one line per input line, in the same order: correct, well_formed, status (equal, different, timeout,
    unparseable or error), extracted, milliseconds. How many there are of each status goes to standard error.

    An input line is {"response": "...", "gold": ...}; the gold is a text, a number, or a list of acceptable ones.
    Optional: prompt, as the model sees it; where it ends with the opening think tag, the response need not have it.
    """
    from laser_verl.commands import score as command

    with _errors_as_exit_codes():
        summary = command.run(input_file, thinking, timeout, lambda verdict: write(_dump(verdict)))
        typer.echo(f"laser_verl: {summary}", err=True)


@app.command(
    context_settings={"ignore_unknown_options": True},
    epilog=_example("laser-verl check data.train_files=train.parquet reward.reward_manager.name=laser_d"),
)
def check(
    arguments: Annotated[list[str] | None, typer.Argument(metavar="ARGS", help="What main_ppo would get.")] = None,
) -> None:
    """Check the arguments of a training run.

    Takes the very arguments of `python -m verl.trainer.main_ppo`, loads no model, and prints what is active or every
    mistake with its remedy. With --json anywhere among them, all of it is one JSON object on standard output: ok,
    errors, active. With --memory (or --memory=141, GiB of a GPU) it adds what the run takes of each GPU.
    """
    with _errors_as_exit_codes():
        raise typer.Exit(_load("check").run(list(arguments or [])) or 0)


@state_app.command("show", epilog=_example("laser-verl state show checkpoints/global_step_40"))
def show_state(path: StatePath, as_json: AsJson = False) -> None:
    """Sum up a state.

    Prints which run and step it is of, the target lengths, the sampler's position, and how hard the prompts are: how
    many there are of each pass rate, as averaged over the latest draws, and how many were not seen yet.

    In JSON, null stands for what the state does not hold.
    """
    from laser_verl.commands import state as command

    with _errors_as_exit_codes():
        summary = command.show(path)
        write(_dump(summary) if as_json else command.as_text(summary))


@state_app.command("export", epilog=_example("laser-verl state export checkpoints/global_step_40 --to prompts.parquet"))
def export_state(
    path: StatePath,
    to: Annotated[str, typer.Option(metavar="FILE", help="A new file: prompts.parquet, prompts.csv or prompts.jsonl.")],
) -> None:
    """Write the table of prompts.

    One row per prompt: prompt_key, drawn (groups), responses, solved, pass_rate (as averaged over the latest draws),
    band, last_step, mean_correct_length and shortest_correct (tokens), solved_streak and failed_streak (draws in a row
    in which all or none of the group was solved). Empty or null is a prompt not seen, or never solved.
    """
    from laser_verl.commands import state as command

    with _errors_as_exit_codes():
        count = command.export(path, to)
        typer.echo(f"laser_verl: {count} prompts in {to}", err=True)


def _add_command_with_own_arguments(name: str, summary: str, example: str) -> None:
    """Add a command whose options are those of the function `run` in its module, imported only when it is called."""

    def call(context: typer.Context) -> None:
        with _errors_as_exit_codes():
            command = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            command.command(name, epilog=_example(example))(_load(name).run)
            raise typer.Exit(command(list(context.args), prog_name=f"{PROGRAM} {name}", standalone_mode=False) or 0)

    # The command reads its own arguments, `--help` included.
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(name, help=summary, context_settings=settings, add_help_option=False)(call)


for _command in (
    ("quickstart", "Train a tiny reasoner on this computer's CPU.", "laser-verl quickstart --seed 1"),
    ("presets", "List the presets of the wheel.", "laser-verl presets paper"),
    ("prepare", "Turn a data set into verl's parquet.", "laser-verl prepare deepscaler deepscaler.json --to data/"),
    ("evaluate", "Measure accuracy and tokens on benchmarks.", "laser-verl evaluate MODEL --on aime24 --out results/"),
):
    _add_command_with_own_arguments(*_command)


def main() -> None:
    """Run the command line on this process's arguments."""
    app(prog_name=PROGRAM)


def _load(name: str) -> ModuleType:
    """A command whose imports are heavy or need more than the wheel alone."""
    try:
        return importlib.import_module(f"laser_verl.commands.{name}")
    except ModuleNotFoundError as error:
        raise WrongUsage(f"{name} needs the package {error.name!r}; install laser-verl with all it requires") from error


@contextmanager
def _errors_as_exit_codes() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        if message := str(error):
            typer.echo(f"laser_verl: {message}", err=True)
        raise typer.Exit(error.exit_code) from error


def _dump(value: Mapping[str, Any] | list[Any]) -> str:
    """One line of JSON; a NaN or infinity is our own mistake, never output."""
    return json.dumps(value, allow_nan=False)
