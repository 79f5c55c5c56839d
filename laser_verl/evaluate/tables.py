"""Tables of a summary, for the console and as markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

Numbers = Mapping[str, float | None]

_CAPTION = "in brackets: 95 % bootstrap intervals over the problems"


@dataclass(frozen=True)
class Sheet:
    """A table before it is drawn; the first column holds names, the others numbers."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def sheets(summary: Mapping[str, Any]) -> list[Sheet]:
    """The tables of a summary.

    Args:
        summary: What `summarise` gave.

    Returns:
        Accuracy and tokens as in the paper, several samples together, shapes, and the curve under budgets where there
        is one.
    """
    found = [_paper(summary), _several(summary), _shapes(summary)]
    curve = _curve(summary)
    return [*found, curve] if curve.rows else found


def as_tables(summary: Mapping[str, Any]) -> Iterator[Table]:
    """The tables for the console."""
    for sheet in sheets(summary):
        has_intervals = any("[" in cell for row in sheet.rows for cell in row[1:])
        caption = _CAPTION if has_intervals else None
        table = Table(title=sheet.title, title_justify="left", box=SIMPLE, caption=caption, caption_justify="left")
        table.add_column(sheet.headings[0], no_wrap=True)
        for heading in sheet.headings[1:]:
            table.add_column(heading, justify="right", no_wrap=True)
        for row in sheet.rows:
            table.add_row(*map(Text, row))
        yield table


def as_markdown(summary: Mapping[str, Any]) -> str:
    """The tables as a page of markdown."""
    parts = []
    for sheet in [*sheets(summary), _keywords(summary)]:
        lines = [sheet.headings, ["---", *["---:"] * (len(sheet.headings) - 1)], *sheet.rows]
        parts.append(f"### {sheet.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join([*parts, _CAPTION]) + "\n"


def _rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for result in summary["results"]:
        for name, benchmark in result["benchmarks"].items():
            yield result["name"], name, benchmark


def _paper(summary: Mapping[str, Any]) -> Sheet:
    """One row a benchmark and one of the average, as Table 6 of the paper."""
    rows = []
    for result in summary["results"]:
        for name, one in result["benchmarks"].items():
            least, most = one["samples"]["least"], one["samples"]["most"]
            samples = str(most) if least == most else f"{least}–{most}"
            rows.append([result["name"], name, str(one["problems"]), samples, *_both(one)])
        if len(result["benchmarks"]) > 1:
            rows.append([result["name"], "average", "", "", *_both(result["average"])])
    return Sheet("Accuracy and tokens", ["model", "benchmark", "problems", "samples", "accuracy, %", "tokens"], rows)


def _both(one: Mapping[str, Numbers]) -> list[str]:
    return [_percent(one["accuracy"]), _number(one["tokens"])]


def _several(summary: Mapping[str, Any]) -> Sheet:
    rows = []
    for model, name, one in _rows(summary):
        k, first = list(one["pass@k"])[-1], one["first_finish"]
        cells = [_share(one["pass@k"][k]), _share(one["maj@k"][k])]
        cells += [_percent(first["accuracy"]), _plain(first["tokens"]), _plain(first["total_tokens"])]
        rows.append([model, name, k, *cells])
    headings = ["model", "benchmark", "k", "pass@k, %", "maj@k, %", "first to finish, %", "tokens", "of all k"]
    return Sheet("Several samples together", headings, rows)


def _shapes(summary: Mapping[str, Any]) -> Sheet:
    names = ("thinking_tokens", "answer_tokens"), ("truncated_frac", "malformed_frac", "repetitive_frac")
    rows = [
        [model, name, *(_plain(one[key]) for key in names[0]), *(_share(one[key]) for key in names[1]), _words(one)]
        for model, name, one in _rows(summary)
    ]
    headings = ["model", "benchmark", "thinking", "answer", "truncated, %", "malformed, %", "looping, %", "keywords"]
    return Sheet("Shape of the responses: tokens, shares, and keywords of reflection", headings, rows)


def _keywords(summary: Mapping[str, Any]) -> Sheet:
    rows, words = [], []
    for model, name, one in _rows(summary):
        per_response, per_token = one["keywords"]["per_response"], one["keywords"]["per_1000_tokens"]
        words = list(per_response)
        totals = [f"{sum(per_response.values()):.2f}", f"{sum(per_token.values()):.2f}"]
        rows.append([model, name, *totals, *(f"{number:.2f}" for number in per_response.values())])
    headings = ["model", "benchmark", "all", "all, per 1,000 tokens", *words]
    return Sheet("Keywords of reflection, per response", headings, rows)


def _curve(summary: Mapping[str, Any]) -> Sheet:
    rows = [
        [model, name, str(point["budget"]), *_both(point)]
        for model, name, one in _rows(summary)
        for point in one["budgets"]
    ]
    return Sheet("Thoughts cut at a budget", ["model", "benchmark", "budget", "accuracy, %", "tokens"], rows)


def _percent(value: Numbers) -> str:
    return _with_interval({name: None if part is None else 100 * part for name, part in value.items()})


def _number(value: Numbers) -> str:
    return _with_interval(value)


def _with_interval(value: Numbers) -> str:
    if value["low"] is None or value["high"] is None:
        return f"{value['mean']:,.1f}"
    return f"{value['mean']:,.1f} [{value['low']:,.1f}, {value['high']:,.1f}]"


def _plain(value: Numbers) -> str:
    return f"{value['mean']:,.1f}"


def _words(one: Mapping[str, Any]) -> str:
    return f"{sum(one['keywords']['per_response'].values()):.2f}"


def _share(value: Numbers) -> str:
    return f"{100 * (value['mean'] or 0):.1f}"
