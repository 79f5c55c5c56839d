"""Write the parts of methods.md that the methods say of themselves: `python docs/make_methods.py`.

Each part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; the rest of the file is written by hand.
"""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from laser_verl.core import MethodInfo, Need, describe, method_names
from laser_verl.core.advantages.base import describe_rule, rule_names

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER / "methods.md"

# Said once for all methods.
_SAID_ABOVE = ("ramp",)


def page(text: str) -> str:
    """Put every part into the page.

    Args:
        text: The page as it stands.

    Returns:
        The page as it should be.
    """
    for name, part in PARTS.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, _, rest = text.partition(begin)
        after = rest.partition(end)[2]
        text = f"{before}{begin}{part()}\n{end}{after}"
    return text


def _overview(names: Iterable[str], find: Callable[[str], MethodInfo]) -> str:
    rows = []
    for info in map(find, names):
        rows.append((f"[`{info.name}`](#{_anchor(info)})", _needs(info), info.summary, _linked(info.source)))
    return _table(("name", "needs", "what it does", "source"), rows)


def _every_method() -> str:
    methods = [_details(describe(name)) for name in method_names()]
    rules = [_details(describe_rule(name)) for name in rule_names()]
    return "\n\n".join([*methods, "## Every advantage rule", *rules])


def _details(info: MethodInfo) -> str:
    facts = [f"Formula: `{info.formula}`", f"Source: {_linked(info.source)}", f"Needs: {_needs(info)}"]
    if info.columns:
        facts.append(f"Columns: {', '.join(f'`{column}`' for column in info.columns)}")
    options = [
        (f"`{option}`", "required" if option in info.required else f"`{json.dumps(default)}`", info.meanings[option])
        for option, default in info.options.items()
        if option not in _SAID_ABOVE
    ]
    parts = [f"### {_heading(info)}", info.text, "\n".join(f"- {fact}" for fact in facts)]
    return "\n\n".join([*parts, *([_table(("option", "default", "meaning"), options)] if options else [])])


def _heading(info: MethodInfo) -> str:
    """The name, which for one that is a length reward too says which of the two this is."""
    return f"`{info.name}`, the advantage rule" if _is_second(info) else f"`{info.name}`"


def _anchor(info: MethodInfo) -> str:
    return f"{info.name}-the-advantage-rule" if _is_second(info) else info.name


def _is_second(info: MethodInfo) -> bool:
    return info.name in method_names() and info != describe(info.name)


def _needs(info: MethodInfo) -> str:
    return ", ".join(need.value for need in Need if need in info.needs)


def _linked(source: str) -> str:
    return re.sub(r"arXiv (\d{4}\.\d{5})", r"[arXiv \1](https://arxiv.org/abs/\1)", source)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


PARTS: dict[str, Callable[[], str]] = {
    "methods": lambda: _overview(method_names(), describe),
    "rules": lambda: _overview(rule_names(), describe_rule),
    "penalty_size": runpy.run_path(str(FOLDER / "figures" / "penalty_size.py"))["table"],
    "every_method": _every_method,
}


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
