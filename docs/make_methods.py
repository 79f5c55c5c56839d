"""Write the parts of the pages that methods and policies say of themselves: `python docs/make_methods.py`.

Each part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; the rest of the files is written by hand.
"""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from laser_verl.core import MethodInfo, Need, describe, method_names
from laser_verl.core.advantages.base import describe_rule, rule_names
from laser_verl.core.policies.base import describe_policy, policy_names
from laser_verl.presets import Preset, folder, presets

FOLDER = Path(__file__).resolve().parent
PAGES = (FOLDER / "methods.md", FOLDER / "sampler.md", FOLDER.parent / "README.md")
# A page each, whose part `about` is written here.
METHOD_PAGES = {name: FOLDER / "methods" / f"{name}.md" for name in method_names()}
RULE_PAGES = {name: FOLDER / "advantages" / f"{name}.md" for name in rule_names()}

# README.md has a table of its own for these.
OURS = ("laser", "laser_d", "laser_de")

# Said once for all methods.
_SAID_ABOVE = ("ramp",)

_pages = runpy.run_path(str(FOLDER / "pages.py"))


def page(text: str) -> str:
    """Put every part that a page has a place for into it."""
    return str(_pages["filled"](text, PARTS))


def about(text: str, info: MethodInfo, lines: str, trainings: Iterable[Preset]) -> str:
    """Put what a method says of itself into its page.

    Args:
        text: The page as it stands.
        info: The method or advantage rule.
        lines: How a run takes it.
        trainings: Presets of published trainings with it.

    Returns:
        The page as it should be.
    """
    before, begin, rest = text.partition("<!-- begin about -->\n")
    _, end, after = rest.partition("<!-- end about -->")
    assert begin, f"{info.name}: the page has no place for what the method says of itself"
    assert end, f"{info.name}: the page has no end of what the method says of itself"
    run = f"## In a run\n\n```bash\n{lines}\n```\n{_trainings(trainings)}"
    return f"{before}{begin}{_details(info)}\n\n{run}{end}{after}"


def every_page() -> Iterator[tuple[Path, str]]:
    """Every page of a method or rule, as it should be.

    Yields:
        File and text.
    """
    published = [(preset, _settings(preset.name)) for preset in presets("paper")]
    for name, file in METHOD_PAGES.items():
        lines = f"reward.reward_manager.name={name}   # or, with --config-name laser_verl: method={name}"
        # Beside a rule of ours the method none is not what the training is about.
        own = [preset for preset, (method, rule) in published if method == name and not (rule and name == "none")]
        yield file, about(file.read_text(encoding="utf-8"), describe(name), lines, own)
    for name, file in RULE_PAGES.items():
        own = [preset for preset, (_, rule) in published if rule == name]
        lines = f"algorithm.adv_estimator={name}"
        yield file, about(file.read_text(encoding="utf-8"), describe_rule(name), lines, own)


def _settings(preset: str) -> tuple[str, str | None]:
    """Method of a published training, and its advantage rule where that is one of ours."""
    text = (folder() / "paper" / f"{preset}.yaml").read_text(encoding="utf-8")
    for shared in re.findall(r"^  - (common/\w+)$", text, re.MULTILINE):
        text += (folder() / "paper" / f"{shared}.yaml").read_text(encoding="utf-8")
    methods = re.findall(r"^  - override /method: (\w+)$", text, re.MULTILINE)
    rules = set(re.findall(r"^  adv_estimator: (\w+)$", text, re.MULTILINE)) & set(rule_names())
    return methods[0], next(iter(rules), None)


def _trainings(chosen: Iterable[Preset]) -> str:
    lines = [f"- `paper={preset.name}`: {_linked(preset.summary)}" for preset in chosen]
    head = "\nPresets of published trainings, as `laser-verl presets paper` prints them ([Presets](../presets.md)):\n\n"
    return head + "\n".join(lines) + "\n" if lines else ""


def _overview(names: Iterable[str], find: Callable[[str], MethodInfo], folder: str) -> str:
    rows = []
    for info in map(find, names):
        rows.append((f"[`{info.name}`]({folder}/{info.name}.md)", _needs(info), info.summary, _linked(info.source)))
    return _pages["table"](("name", "needs", "what it does", "source"), rows)


def _policies() -> str:
    infos = map(describe_policy, policy_names())
    rows = [(f"[`{info.name}`](#{info.name})", info.summary, _linked(info.source)) for info in infos]
    return _pages["table"](("`policy`", "what it draws", "source"), rows)


def _others_by_need() -> str:
    names: dict[str, list[str]] = {}
    for info in sorted((describe(name) for name in method_names() if name not in OURS), key=_rank):
        needs = "what its methods need" if info.needs == set(Need) else _needs(info)
        names.setdefault(needs, []).append(f"`{info.name}`")
    rows = ((needs, ", ".join(of)) for needs, of in names.items())
    return _pages["table"](("needs", "`reward.reward_manager.name`"), rows)


def _rank(info: MethodInfo) -> tuple[bool, list[int]]:
    """Methods in the order of what they need, the one that may need anything last."""
    return info.needs == set(Need), [place for place, need in enumerate(Need) if need in info.needs]


def _details(info: MethodInfo) -> str:
    facts = [f"Formula: `{info.formula}`", f"Source: {_linked(info.source)}"]
    if info.needs:
        facts.append(f"Needs: {_needs(info)}")
    if info.columns:
        facts.append(f"Columns: {', '.join(f'`{column}`' for column in info.columns)}")
    options = [
        (f"`{option}`", "required" if option in info.required else f"`{json.dumps(default)}`", _meaning(info, option))
        for option, default in info.options.items()
        if option not in _SAID_ABOVE
    ]
    parts = [info.text, "\n".join(f"- {fact}" for fact in facts)]
    return "\n\n".join([*parts, *([_pages["table"](("option", "default", "meaning"), options)] if options else [])])


def _meaning(info: MethodInfo, option: str) -> str:
    """As YAML and the command line spell it."""
    return re.sub(r"\bNone\b", "null", info.meanings[option])


def _needs(info: MethodInfo) -> str:
    return ", ".join(need.value for need in Need if need in info.needs)


def _linked(source: str) -> str:
    return re.sub(r"arXiv (\d{4}\.\d{5})", r"[arXiv \1](https://arxiv.org/abs/\1)", source)


PARTS: dict[str, Callable[[], str]] = {
    "methods": lambda: _overview(method_names(), describe, "methods"),
    "rules": lambda: _overview(rule_names(), describe_rule, "advantages"),
    "penalty_size": runpy.run_path(str(FOLDER / "figures" / "penalty_size.py"))["table"],
    "others_by_need": _others_by_need,
    "policies": _policies,
    "every_policy": lambda: "\n\n".join(
        f"### `{name}`\n\n{_details(describe_policy(name))}" for name in policy_names()
    ),
}


if __name__ == "__main__":
    for file in PAGES:
        file.write_text(page(file.read_text(encoding="utf-8")), encoding="utf-8")
    for file, text in every_page():
        file.write_text(text, encoding="utf-8")
