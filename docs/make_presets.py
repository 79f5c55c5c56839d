"""Write the presets that follow from the code, and the tables of presets.md: `python docs/make_presets.py`.

`configs/method` and `configs/sampler` hold every option of every method and policy at its default; what each means is
taken from their docstrings.
"""

from __future__ import annotations

import re
import runpy
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from laser_verl.core import MethodInfo, describe, method_names
from laser_verl.core.policies.base import build_policy, describe_policy, policy_names
from laser_verl.core.registry import METHODS
from laser_verl.core.sampler import EPSILON, explores
from laser_verl.presets import AVERAGE, GROUPS, Published, comment, presets, published

FOLDER = Path(__file__).resolve().parent
CONFIGS = FOLDER.parent / "configs"
PAGE = FOLDER / "presets.md"

_BENCHMARKS = ("MATH500", "AIME24", "AMC23", "OlympiadBench", AVERAGE)

_pages = runpy.run_path(str(FOLDER / "pages.py"))

# What stands for options that have no default; the rest is left to the user, which Hydra writes as ???.
_CHOSEN = {"laser": {"target_length": 8192}, "truncation": {"target_length": 8192}}

_BY = "# Every option is here at its default; written by docs/make_presets.py."

_WORKERS = """data:
  # workers would draw ahead of what the tracker learns
  dataloader_num_workers: 0

"""

# MoPPS, arXiv 2507.04632, in place of our default
_TRACKERS = {
    "mopps": """  tracker:
    # the paper's default forgets nothing
    decay: 1.0

"""
}


def files() -> Iterator[tuple[Path, str]]:
    """Each generated preset: its path and what it should hold."""
    for name in method_names():
        yield CONFIGS / "method" / f"{name}.yaml", _method(describe(name))
    for name in policy_names():
        yield CONFIGS / "sampler" / f"{name}.yaml", _policy(describe_policy(name))


def _method(info: MethodInfo) -> str:
    # An option that is given wins over the one that stands for several.
    by_preset = {option for values in METHODS._entry(info.name).cls.presets.values() for option in values}
    head = f"reward:\n  reward_manager:\n    name: {info.name}\n  reward_kwargs:\n"
    return f"{_header(info)}\n{head}{_options(info, by_preset)}"


def _policy(info: MethodInfo) -> str:
    explored = not info.required and explores(build_policy(info.name, {}))
    parts = [_WORKERS if explored else "", "laser:\n", _TRACKERS.get(info.name, "")]
    parts.append(f"  sampler:\n    policy: {info.name}\n")
    if explored:
        parts.append(f"\n    # share of each batch drawn from all prompts in turn\n    epsilon: {EPSILON}\n")
    options = _options(info)
    return f"{_header(info)}\n{''.join(parts)}{options and chr(10) + options}"


def _header(info: MethodInfo) -> str:
    return f"# @package _global_\n{_comment(f'{info.summary} Source: {info.source}.', 0)}\n{_BY}\n"


def _options(info: MethodInfo, by_preset: set[str] | None = None) -> str:
    """The options, a comment above each and a blank line between."""
    values: Mapping[str, Any] = {**info.options, **dict.fromkeys(info.required, "???"), **_CHOSEN.get(info.name, {})}
    parts = []
    for option, value in values.items():
        meaning = re.sub(r"\bNone\b", "null", info.meanings[option])
        line = f"{option}: {_value(value)}"
        if option in (by_preset or ()):
            meaning += f" Commented out since preset decides it; alone: +reward.reward_kwargs.{option}=VALUE."
            line = f"# {line}"
        parts.append(f"{_comment(meaning, 4)}\n    {line}\n")
    return "\n".join(parts)


def _comment(text: str, indent: int) -> str:
    begin = " " * indent + "# "
    return textwrap.fill(text, 120, initial_indent=begin, subsequent_indent=begin, break_on_hyphens=False)


def _value(value: Any) -> str:
    if value == "???":
        return "???"
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000).removesuffix("...\n").strip()


def page(text: str) -> str:
    """The page of presets with its tables as they should be."""
    return str(_pages["filled"](text, PARTS))


def _groups() -> str:
    rows = []
    for group, meaning in GROUPS.items():
        names = ", ".join(f"`{preset.name}`" for preset in presets(group)) if group != "paper" else "below"
        rows.append((f"`{group}=`", meaning, names))
    return str(_pages["table"](("group", "chooses", "presets"), rows))


def _of_table(table: str) -> str:
    rows = []
    for name, of in published().items():
        if of.table == table:
            preset = "no training" if name.startswith("original") else f"`{name}`"
            rows.append((preset, of.row, *(_both(of, key) for key in _BENCHMARKS), ""))
    return str(_pages["table"](("`paper=`", "row", *_BENCHMARKS, "yours"), rows))


def _both(of: Published, key: str) -> str:
    tokens = f" @ {of.tokens[key]:,}" if key in of.tokens else ""
    return f"{of.accuracy[key]}{tokens}" if key in of.accuracy else ""


def _others() -> str:
    rows, seen = [], {"common/math"}
    for preset in presets("paper"):
        if (of := preset.published) is not None and of.table is None:
            results = ", ".join(f"{key} {_both(of, key)}" for key in of.accuracy)
            said = comment("paper", preset.name).partition(of.sentence())[2].strip()
            for shared in {*_shared(preset.name)} - seen:
                said = f"{comment('paper', shared)} {said}"
                seen.add(shared)
            source = re.sub(r"arXiv (\d{4}\.\d{5})", r"[arXiv \1](https://arxiv.org/abs/\1)", of.source)
            rows.append((f"`{preset.name}`", source, of.row, results, said))
    return str(_pages["table"](("`paper=`", "source", "training", "published", "to know"), rows))


def _shared(name: str) -> list[str]:
    """What a preset of the group paper has in common with others."""
    return re.findall(r"^  - (common/\w+)$", (CONFIGS / "paper" / f"{name}.yaml").read_text("utf-8"), re.MULTILINE)


PARTS: dict[str, Callable[[], str]] = {
    "groups": _groups,
    "table_6": lambda: _of_table("Table 6"),
    "table_4": lambda: _of_table("Table 4"),
    "others": _others,
}


if __name__ == "__main__":
    for path, text in files():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
