"""What the scripts of this folder share: tables, and pages with generated parts in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence


def filled(text: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """Put every part that a page has a place for into it.

    Args:
        text: The page as it stands; each part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`.
        parts: What writes each part, by name.

    Returns:
        The page as it should be.
    """
    for name, part in parts.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        if begin in text:
            before, _, rest = text.partition(begin)
            text = f"{before}{begin}{part()}\n{end}{rest.partition(end)[2]}"
    return text


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
