"""The documentation builds as a site without a broken link, and needs nothing from elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=100)
    # strict: a page that is not in the navigation, a link or an anchor that leads nowhere ends it
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(REPOSITORY / "docs").with_suffix("") for path in (REPOSITORY / "docs").rglob("*.md")}
    assert {Path("index"), Path("methods")} <= pages
    assert {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")} == pages | {Path("404")}


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(https?:[^\"\s>]+)", text)
        loaded += re.findall(r"<link\b[^>]*\brel=\"?(?:stylesheet|preconnect)[^>]*\bhref=\"?(https?:[^\"\s>]+)", text)
        assert loaded == [], page


def test_the_sheets_of_styles_load_nothing_from_elsewhere(site: Path) -> None:
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        assert (
            re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^\"')\s]+", sheet.read_text(encoding="utf-8")) == []
        )


def test_pages_can_be_searched(site: Path) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    assert {"index.html", "methods/laser_d.html", "troubleshooting.html"} <= {entry["location"] for entry in entries}


def test_scripts_that_make_pages_are_not_pages(site: Path) -> None:
    assert list(site.rglob("make_*.py")) == []
