"""Problems that were read before."""

from __future__ import annotations

from laser_verl.data.prepare.rows import Findings, Row, hash64


class Duplicates:
    """Leaves out all but the first row of a problem, and lists those that have another gold than the first.

    Holds 16 bytes of each problem, of which Python makes some 200.
    """

    def __init__(self, is_made: bool = False) -> None:
        """Start without problems.

        Args:
            is_made: Whether the problems are made here: their golds are all right, also where they differ.
        """
        self._is_made = is_made
        self._golds: dict[int, int] = {}

    def __call__(self, rows: list[Row], findings: Findings) -> list[Row]:
        """Return the rows whose problem is new."""
        kept = []
        for row in rows:
            gold = hash64(row.gold)
            if row.digest not in self._golds:
                self._golds[row.digest] = gold
                kept.append(row)
            elif self._is_made or self._golds[row.digest] == gold:
                findings.count("duplicate")
            else:
                findings.add(row, "duplicate_with_another_gold", False, {"gold": row.gold})
        return kept
