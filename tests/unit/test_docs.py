"""What is generated in docs/ and README.md is as the code would write it now, and what is not names what there is."""

from __future__ import annotations

import ast
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from laser_verl.core import MethodBase, describe, method_names
from laser_verl.core.advantages.base import describe_rule, rule_names
from laser_verl.core.registry import METHODS

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
FIGURE = DOCS / "figures" / "penalty_size.py"
PAGE = (DOCS / "methods.md").read_text(encoding="utf-8")
SAMPLER = (DOCS / "sampler.md").read_text(encoding="utf-8")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
# how responses are verified, beside the options of every method
_VERIFICATION = {"thinking", "scorers", "verify_timeout_seconds", "repetition", "correct_at"}


def _anchors(page: str) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


ANCHORS = _anchors(PAGE)


def test_what_the_methods_say_of_themselves_is_up_to_date() -> None:
    script = runpy.run_path(str(DOCS / "make_methods.py"))
    assert script["PAGES"] == (DOCS / "methods.md", DOCS / "sampler.md", REPOSITORY / "README.md")
    for file, text in script["every_page"]():
        assert file.read_text(encoding="utf-8") == text, "run: python docs/make_methods.py"
    for text in (PAGE, SAMPLER, README):
        assert script["page"](text) == text, "run: python docs/make_methods.py"
    for name in script["PARTS"]:
        assert f"<!-- begin {name} -->\n" in PAGE + SAMPLER + README


def test_the_readme_has_every_method_under_what_it_needs_and_every_rule() -> None:
    others = re.findall(r"^\| ([\w, ]+) \| (`.+`) \|$", README.partition("## Methods")[2], re.MULTILINE)
    found = {name: needs for needs, names in others for name in re.findall(r"`(\w+)`", names)}
    found |= dict(re.findall(r"^\| `(laser\w*)` \| .+ \| ([\w, ]+) \|$", README, re.MULTILINE))
    expected = {name: describe(name).needs for name in method_names() if name != "mixed"}
    assert found.pop("mixed") == "what its methods need"
    assert {name: set(needs.split(", ")) for name, needs in found.items()} == expected
    rules = README.partition("Advantage rules go with any of them")[2].partition("docs/methods.md")[0]
    assert set(re.findall(r"`(\w+)`", rules)) >= set(rule_names())


def test_the_readme_names_the_rows_of_the_benchmark_as_it_prints_them() -> None:
    table = README.partition("| | (a) eight responses")[2].partition("\n\n")[0]
    labels = re.findall(r"^\| ([^|]+?) \| [\d.]+ ×", table, re.MULTILINE)
    script = (REPOSITORY / "benchmarks" / "scoring.py").read_text(encoding="utf-8")
    assert len(labels) == 7
    assert [label for label in labels if f'"{label}"' not in script] == []


def test_the_options_that_stand_for_the_authors_code_are_options() -> None:
    sentence = PAGE.partition("an option gives the other:")[2].partition(". Each")[0]
    option, pairs = "", set()
    for name, is_option in re.findall(r"`(\w+)`(\sof\b)?", sentence):
        if is_option:
            option = name
        else:
            pairs.add((option, name))
    assert len(pairs) >= 12
    for option, name in pairs:
        assert option in (describe(name) if name in method_names() else describe_rule(name)).options


def test_the_page_of_what_is_saved_has_every_method_that_keeps_more_than_its_name() -> None:
    table = (DOCS / "state.md").read_text(encoding="utf-8").partition("| --- |")[2].partition("\n\n")[0]
    keeping = {name for row in table.splitlines()[1:-1] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    classes = {name: METHODS._entry(name).cls for name in method_names()}
    assert keeping == {name for name, cls in classes.items() if cls.state_dict is not MethodBase.state_dict}


def test_every_method_and_rule_has_its_page_with_the_same_headings_and_every_link_its_target() -> None:
    pages = {"methods": method_names(), "advantages": rule_names()}
    for folder, names in pages.items():
        assert {file.stem for file in (DOCS / folder).glob("*.md")} == set(names)
        for name in names:
            text = (DOCS / folder / f"{name}.md").read_text(encoding="utf-8")
            headings = re.findall(r"^#+ .+$", text, re.MULTILINE)
            first = [f"# {name}", "## In a run", "## When to use it"]
            assert headings == (first if name == "none" else [*first, "## When not to"])
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= ANCHORS
    assert set(re.findall(r"\]\(docs/methods\.md#([^)]+)\)", README)) <= ANCHORS
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


def _texts_of_the_code() -> list[str]:
    """Every text in the package but docstrings, with … for what is put into it."""
    texts = []
    for path in (REPOSITORY / "laser_verl").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(p.value if isinstance(p, ast.Constant) else "…" for p in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
                texts.append(node.value)
    return texts


def test_messages_that_the_page_explains_are_messages_of_the_code() -> None:
    texts = _texts_of_the_code()
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8").partition("## What verl and Ray do")[0]
    quoted = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| message", "| ---"))]
    assert [row for row in rows if not row.startswith(("| `", "| Hydra: `"))] == []
    assert len(quoted) == len(rows) - 1
    for message in quoted:
        pattern = re.compile(".*".join(re.escape(part) for part in message.split("…")), re.DOTALL)
        assert any(pattern.search(text) for text in texts), message


def test_the_page_for_maintainers_has_every_method_that_our_trainers_override() -> None:
    tree = ast.parse((REPOSITORY / "laser_verl" / "verl_ext" / "trainer_modes.py").read_text(encoding="utf-8"))
    trainer = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "LaserTrainer")
    overridden = {
        method.name
        for method in trainer.body
        if isinstance(method, ast.FunctionDef) and f"super().{method.name}" in ast.unparse(method)
    } - {"__init__"}
    page = (DOCS / "for_maintainers.md").read_text(encoding="utf-8").partition("## What our trainers override")[2]
    named = {name for row in re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named == overridden


def test_the_design_page_has_every_package() -> None:
    page = (DOCS / "design.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert named == {path.parent.name for path in (REPOSITORY / "laser_verl").glob("*/__init__.py")}


@pytest.mark.parametrize("file", ["README.md", "examples/README.md", *(f"docs/{f.name}" for f in DOCS.glob("*.md"))])
def test_presets_and_options_that_a_page_names_exist(file: str) -> None:
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    for group, name in re.findall(r"\b(method|sampler|model|backend|hardware|paper)=([\w./]+\w)", text):
        if not text.partition(f"{group}={name}")[0].endswith("."):
            assert (REPOSITORY / "configs" / group / f"{name}.yaml").is_file(), f"{group}={name}"
    known = {option for name in method_names() for option in describe(name).options} | _VERIFICATION
    assert set(re.findall(r"reward\.reward_kwargs\.(\w+)", text)) <= known


@pytest.mark.parametrize("file", ["README.md", "CHANGELOG.md", "examples/README.md"])
def test_links_of_pages_outside_the_site_lead_somewhere(file: str) -> None:
    path = REPOSITORY / file
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]+)(?:#([^)]+))?\)", path.read_text(encoding="utf-8")):
        target = path.parent / link
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target.read_text(encoding="utf-8")), f"{link}#{anchor}"
