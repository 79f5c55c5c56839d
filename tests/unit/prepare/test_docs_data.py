"""docs/data.md names what there is: sources, templates, findings, columns, files."""

from __future__ import annotations

import re
from pathlib import Path

from laser_verl.data.prepare.card import REASONS
from laser_verl.data.prepare.layouts import FIELDS, LAYOUTS
from laser_verl.data.prepare.plan import SOURCES
from laser_verl.data.prepare.templates import TEMPLATES
from laser_verl.scoring import gym_verifiers
from tests.unit.prepare.data_sets import call, prepare_set, rows_of

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")


def table(heading: str) -> dict[str, str]:
    """The first cells of the first table under a heading, with the rest of their rows."""
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \| (.*) \|$", part, re.MULTILINE)
    return {name: rest for names, rest in rows for name in re.findall(r"`([^`]+)`", names)}


def test_every_source_is_there_with_its_name_on_the_hub() -> None:
    rows = table("Sources")
    assert list(rows) == list(SOURCES)
    assert all(layout.hub is None or rows[name].startswith(layout.hub) for name, layout in LAYOUTS.items())
    for name, layout in LAYOUTS.items():
        for field in ("problem", "gold"):
            assert layout.hub is None or f"`{layout.fields[field]}`" in rows[name]
    assert all(f"`{field}`" in PAGE for field in FIELDS)


def test_every_template_and_finding_is_there() -> None:
    rows = table("Templates")
    assert list(rows) == list(TEMPLATES)
    for name in ("paper", "deepscaler"):
        assert TEMPLATES[name].user.removeprefix("{problem}").strip() in rows[name]
    assert set(table("What is left out")) == set(REASONS)


def test_every_column_is_there(tmp_path: Path) -> None:
    prepare_set("table", tmp_path)
    row = rows_of(tmp_path / "out")[0]
    columns = [name for name in row if name != "extra_info"] + [f"extra_info.{name}" for name in row["extra_info"]]
    assert set(table("What is written")) == set(columns)


def test_options_and_numbers_are_those_of_the_code() -> None:
    options = set(re.findall(r"--[a-z-]+", call("--help").stdout))
    assert set(re.findall(r"(?<![\w-])--(?!repo-type|local-dir)[a-z][a-z-]+", PAGE)) <= options
    assert f"reasoning-gym) {gym_verifiers.RELEASE} and" in PAGE
    in_answers = {*gym_verifiers.READING_LITERALS, *gym_verifiers.PARSING, *gym_verifiers.PARSING_BY_SYMPY}
    # number_sorting evaluates its own problem only
    assert len(in_answers - {"algorithmic.number_sorting"}) == 9
    assert "Nine of its verifiers" in PAGE
