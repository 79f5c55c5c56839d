"""What the loop detector finds and flags, beside the rule of the paper's released code: `python benchmarks/loops.py`.

Loops and ordinary texts are the seeded samples that the tests use (`tests/data/loops/corpus.py`). Times are medians
over responses of 16,384 tokens. Takes about half a minute.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from laser_verl.scoring.loops import is_repetitive
from laser_verl.scoring.released_loops import is_repetitive_as_released
from tests.data.loops import corpus

TOKENS = 16_384
REPEATS = 5

Tokens = corpus.Tokens
RULES: tuple[Callable[[Tokens], bool], ...] = (
    is_repetitive,
    lambda ids: is_repetitive_as_released(ids.tolist()),
)


def shares(texts: Iterable[Tokens]) -> list[str]:
    """The number of texts, and what each rule says of them."""
    texts = list(texts)
    flagged = [sum(map(rule, texts)) for rule in RULES]
    return [f"{len(texts):,}", *(f"{number:,} = {number / len(texts):.2%}" for number in flagged)]


def milliseconds(rule: Callable[[Tokens], bool], ids: Tokens) -> float:
    """The median of several runs."""
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        rule(ids)
        times.append(time.perf_counter() - begun)
    return 1000 * statistics.median(times)


def medians(texts: Iterable[Tokens]) -> list[str]:
    """The number of texts, and the milliseconds of each rule: median and slowest."""
    texts = list(texts)
    found = [[milliseconds(rule, ids) for ids in texts] for rule in RULES]
    return [f"{len(texts):,}", *(f"{statistics.median(times):.1f} ms, at most {max(times):.1f}" for times in found)]


def main() -> None:
    """Measure and print."""
    table = Table("", "responses", "loops.py", "released rule")
    loops = list(corpus.loops())
    table.add_row("loops found", *shares(loop.ids for loop in loops))
    for edits in sorted(set(corpus.EDITS)):
        table.add_row(f"  {edits:.0%} of the tokens edited", *shares(loop.ids for loop in loops if loop.edits == edits))
    table.add_row("  at the end", *shares(loop.ids for loop in loops if loop.after <= 2))
    table.add_row("  followed by other text", *shares(loop.ids for loop in loops if loop.after > 2), end_section=True)

    chunks = list(corpus.ordinary())
    table.add_row("ordinary text flagged", *shares(ids for *_, ids in chunks))
    mixed = (*corpus.REAL, "generated")
    for kind in mixed:
        table.add_row(f"  {kind}", *shares(ids for name, _, ids in chunks if name == kind))
    table.add_row("  only tables, only cases, ...", *shares(ids for name, _, ids in chunks if name not in mixed))
    for split in corpus.SPLITS:
        table.add_row(f"  tokens: {split}", *shares(ids for _, name, ids in chunks if name == split))

    long = {key: np.resize(ids, max(TOKENS, len(ids)))[-TOKENS:] for key, ids in corpus.streams().items()}
    table.add_section()
    table.add_row(f"time at {TOKENS:,} tokens: ordinary text", *medians(long.values()))
    table.add_row(
        "  prose, solutions", *medians(ids for (kind, _), ids in long.items() if kind in ("prose", "solutions"))
    )
    ends = [np.concatenate([long["solutions", "pieces"], loop.ids])[-TOKENS:] for loop in loops[:60]]
    table.add_row("  loops", *medians(ends))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
