"""What is generated in docs/ is as the code would write it now."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from laser_verl.core import method_names
from laser_verl.core.advantages.base import rule_names

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
FIGURE = DOCS / "figures" / "penalty_size.py"
PAGE = (DOCS / "methods.md").read_text(encoding="utf-8")


def test_the_page_of_methods_is_up_to_date() -> None:
    made = runpy.run_path(str(DOCS / "make_methods.py"))["page"](PAGE)
    assert made == PAGE, "run: python docs/make_methods.py"


def test_every_method_and_rule_has_its_heading_and_every_link_its_target() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    for name in (*method_names(), *rule_names()):
        assert any(heading.startswith(f"`{name}`") for heading in headings)
    # as GitHub makes them
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors
    for file in re.findall(r"\]\(([^#)]+)\)", PAGE):
        assert file.startswith("https://arxiv.org/abs/") or (DOCS / file).is_file()


def test_the_table_of_what_to_choose_holds_every_method() -> None:
    choice = PAGE.partition("## How to choose")[2].partition("<!-- begin")[0]
    assert set(re.findall(r"`(\w+)`", choice)) >= set(method_names())


def test_the_page_quotes_what_the_figure_prints(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    one, two = tmp_path / "one.svg", tmp_path / "two.svg"
    done = subprocess.run(
        [sys.executable, str(FIGURE), "--out", str(one)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout in PAGE
    runpy.run_path(str(FIGURE))["draw"](two)
    assert one.read_bytes() == two.read_bytes()
    for group in (b"every answer right", b"five of eight right"):
        assert group in one.read_bytes()
    assert "By `python docs/figures/penalty_size.py`" in PAGE
    assert (DOCS / "figures" / "penalty_size.svg").read_bytes().startswith(b"<?xml")
