"""Which scorer a data source has: the entries under `reward.reward_kwargs.scorers`, and the sources of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from laser_verl.scoring.tasks import DEFAULT, SHIPPED, Scorers, covering, is_run_or_searched, read_scorers
from laser_verl.verl_ext.checks.functions import check_function
from laser_verl.verl_ext.checks.report import Report
from laser_verl.verl_ext.checks.scoring import Golds, is_by_us, say
from laser_verl.verl_ext.settings import Settings, has_function

if TYPE_CHECKING:
    from laser_verl.verl_ext.checks.data import Split

SCORERS = "reward.reward_kwargs.scorers"

# training and validation
_NUM_SPLITS = 2


def sound_entries(given: object, report: Report) -> dict[str, Any]:
    """The entries that name a scorer; each of the others is a mistake.

    Args:
        given: What the config has as scorers.
        report: Takes the mistakes.

    Returns:
        Entries by source.
    """
    if not isinstance(given, Mapping):
        try:
            read_scorers(given, SCORERS)
        except ValueError as error:
            report.add(SCORERS, str(error))
        return {}
    sound = {}
    for source, entry in given.items():
        where = f"{SCORERS}.{source}"
        try:
            read_scorers({source: entry}, SCORERS)
            sound[str(source)] = entry
        except ValueError as error:
            report.add(where, str(error))
    return sound


def check_entries(config: DictConfig, settings: Settings, report: Report) -> None:
    """Check that the entries are read by someone, and the functions among them are there.

    Args:
        config: The composed config.
        settings: Ours.
        report: Takes mistakes and notes.
    """
    scorers = settings.verification.read_scorers()
    if scorers.entries and not is_by_us(config):
        other = "reward.custom_reward_function.path" if has_function(config) else "reward.reward_model.enable"
        report.add(
            SCORERS,
            f"{SCORERS} names {', '.join(scorers.entries)}, but {other} scores every row; leave one of the two out",
        )
    for source, task in scorers.entries.items():
        if task.function is not None:
            where = f"{SCORERS}.{source}"
            check_function(task.function.path, task.function.name, f"{where}.path", f"{where}.name", report)
    if scorers.functions and settings.verification.correct_at is None:
        report.notes.append(
            f"a function under {SCORERS} has to return a dict with score and acc; for one that returns a number, say "
            "from which one on an answer is correct: +reward.reward_kwargs.correct_at=1.0"
        )
    if settings.verification.repetition != "strict":
        report.notes.append(
            f"reward.reward_kwargs.repetition={settings.verification.repetition} calls much ordinary text a loop; it "
            "is for replaying what the released code computed: leave it out of a training run"
        )


def check_sources(splits: dict[str, Split], scorers: Scorers, golds: Golds, report: Report) -> None:
    """Refuse sources without a scorer, and say what each of the others has.

    Args:
        splits: What `check_data` returned.
        scorers: The run's.
        golds: Whether somebody reads the golds.
        report: Takes mistakes, notes and what is active.
    """
    sources = {source for split in splits.values() for source in split.sources}
    found = {source: scorers.find(source) for source in sorted(sources)}
    report.active["scorers"] = {source: task.name for source, task in found.items() if task}
    if any(report.names(name) for name in (SCORERS, f"{SCORERS}.{DEFAULT}")):
        return
    wrong = {mistake.field.removeprefix(f"{SCORERS}.") for mistake in report.mistakes}
    for name, split in splits.items():
        lacking = [source for source in sorted(split.sources) if not found[source] and covering(source, wrong) is None]
        special = [source for source in lacking if is_run_or_searched(source)]
        others = [source for source in lacking if source not in special]
        if special:
            say(f"data.{name}_files", _run_or_searched(name, special), golds, report)
        if others:
            say(f"data.{name}_files", _without_scorer(name, others, list(report.active["scorers"])), golds, report)
    if len(splits) == _NUM_SPLITS:
        _note_unused(scorers, sources, report)


def _run_or_searched(split: str, wrong: list[str]) -> str:
    return (
        f"data.{split}_files has data_source={', '.join(wrong)}, which is scored by running code or by search; "
        "laser_verl's scorers compare answers: leave these rows out, or score them with a function of your own, as "
        f"+{SCORERS}.{wrong[0]}={{path: FILE, name: FUNCTION}}"
    )


def _without_scorer(split: str, wrong: list[str], others: list[str]) -> str:
    return (
        f"data.{split}_files has data_source={', '.join(wrong)}, which has no scorer; with one in these data: "
        f"{', '.join(others) or 'none'}; shipped: {', '.join(SHIPPED)}; add +{SCORERS}.{DEFAULT}=math for all "
        f"the rest, or name each, as +{SCORERS}={{{wrong[0]}: exact}}"
    )


def _note_unused(scorers: Scorers, sources: set[str], report: Report) -> None:
    unused = sorted(scorers.entries.keys() - {DEFAULT} - {scorers.entry_of(source) for source in sources})
    if unused:
        report.notes.append(
            f"{SCORERS} names {', '.join(unused)}, which no row uses; their data_source is one of: "
            + ", ".join(sorted(sources))
        )
