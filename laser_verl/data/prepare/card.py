"""The data card: what was read, left out and written, as JSON for programs and as a README for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import laser_verl
from laser_verl.data.prepare.output import FINDINGS, Report, Tables, file_of
from laser_verl.data.prepare.overlap import WORDS, EvaluationSet
from laser_verl.data.prepare.plan import Plan
from laser_verl.data.prepare.reading import fingerprint
from laser_verl.data.prepare.sources import Input
from laser_verl.data.prepare.splits import MONITOR, SPLITS, TRAIN, VALIDATION

CARD, README = "card.json", "README.md"

REASONS = {
    "duplicate": "the problem was read before, but for spaces and capitals",
    "duplicate_with_another_gold": "the problem was read before, with another gold answer: one of the two is wrong",
    "in_evaluation_set": f"shares {WORDS} words in a row, or all of its words, with a problem of an evaluation set",
    "several_golds": "has several golds, and a row has room for one; --columns golds=COLUMN of a table makes lists",
    "long_prompt": "the prompt has more tokens than --max-prompt-tokens",
    "unreadable_gold": "the scorer cannot read the gold answer, so that no answer but its very text would be right",
    "proof": "asks for a proof, which no scorer checks",
    "code": "asks for a program, which no scorer here runs",
}
"""What each finding means."""

_NOT_IN_THE_CARD = ("to", "inputs", "source")


@dataclass(frozen=True)
class Outcome:
    """What a run goes by.

    Attributes:
        plan: The plan.
        inputs: Its files.
        sets: Evaluation sets whose problems are left out.
    """

    plan: Plan
    inputs: Sequence[Input]
    sets: Sequence[EvaluationSet]


def write_card(
    folder: Path, outcome: Outcome, num_read: int, report: Report, tables: Tables, unchecked: set[str]
) -> dict[str, Any]:
    """Write the card beside the data.

    Args:
        folder: Where the files are.
        outcome: What the run went by.
        num_read: Rows of the input.
        report: What was found of them.
        tables: What was written.
        unchecked: Data sources whose golds no scorer was known for.

    Returns:
        The card. It holds no date and no folder of this machine: the same input gives the same card.
    """
    plan = outcome.plan
    files = {
        file_of(split): {"rows": number, **fingerprint(folder / file_of(split))}
        for split, number in tables.num_rows.items()
    }
    if (folder / FINDINGS).exists():
        files[FINDINGS] = fingerprint(folder / FINDINGS)
    card = {
        "source": plan.request.source,
        "license": plan.layout.license,
        "laser_verl": laser_verl.__version__,
        "inputs": [{"file": one.name, **fingerprint(one.path)} for one in outcome.inputs] or list(plan.request.inputs),
        "rows": {"read": num_read, **{split: tables.num_rows[split] for split in SPLITS}},
        "left_out": dict(sorted(report.left_out.items())),
        "kept_with_finding": dict(sorted(report.kept.items())),
        "data_sources": dict(sorted(tables.sources.items())),
        "without_scorer": sorted(unchecked),
        "template": {"name": plan.template_name, "messages": plan.template.messages("{problem}")},
        "evaluation_sets": [
            {"name": one.name, "problems": len(one.problems), **fingerprint(one.path)} for one in outcome.sets
        ],
        "options": _options(plan),
        "files": dict(sorted(files.items())),
    }
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    (folder / CARD).write_text(text, encoding="utf-8")
    (folder / README).write_text(_readme(card), encoding="utf-8")
    return card


def _options(plan: Plan) -> dict[str, Any]:
    """The options that were given, or have a default; without folders."""
    given = {name: value for name, value in asdict(plan.request).items() if name not in _NOT_IN_THE_CARD}
    given["against"] = [path.name for path in plan.request.against]
    given["model"] = None if plan.request.model is None else plan.request.model.name
    return {name: value for name, value in given.items() if value is not None}


def _readme(card: dict[str, Any]) -> str:
    rows, files = card["rows"], card["files"]
    lines = [
        f"# {card['source']}, prepared for verl",
        "",
        f"By `laser-verl prepare {card['source']}`, laser_verl {card['laser_verl']}. License of the data, as stated by "
        f"its source: {card['license']}. All of this, and the hashes of what was read, is in `{CARD}`.",
        "",
        "| file | rows | bytes | sha256 |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {file.get('rows', '')} | {file['bytes']} | `{file['sha256']}` |"
            for name, file in files.items()
        ),
        "",
        f"{rows['read']} rows were read. No problem is in two of the files.",
        "",
    ]
    found = [(reason, number, "left out") for reason, number in card["left_out"].items()]
    found += [(reason, number, "kept") for reason, number in card["kept_with_finding"].items()]
    if found:
        lines += ["| finding | rows | | |", "| --- | --- | --- | --- |"]
        lines += [f"| {reason} | {number} | {what} | {REASONS[reason]} |" for reason, number, what in found]
        lines += ["", f"Each of them but plain duplicates, proofs and programs is a line of `{FINDINGS}`.", ""]
    lines += ["| data_source | rows |", "| --- | --- |"]
    lines += [f"| {source} | {number} |" for source, number in card["data_sources"].items()]
    lines += ["", f"The prompt template is `{card['template']['name']}`:", ""]
    lines += [f"    {line}" for message in card["template"]["messages"] for line in _quoted(message)]
    lines += ["", "To train on it:", ""]
    if rows[TRAIN]:
        lines.append(f"    data.train_files=FOLDER/{file_of(TRAIN)}")
    if rows[VALIDATION]:
        lines.append(f"    data.val_files=FOLDER/{file_of(VALIDATION)}")
    if rows[MONITOR]:
        lines.append(f"    +reward.reward_kwargs.monitor.file=FOLDER/{file_of(MONITOR)}  # with source=monitor")
    return "\n".join(lines) + "\n"


def _quoted(message: dict[str, str]) -> list[str]:
    return f"{message['role']}: {message['content']}".split("\n")
