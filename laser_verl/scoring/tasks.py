"""Other scorers than mathematics: what compares a gold with an answer, by name."""

from collections.abc import Callable

Judge = Callable[[str, str], bool]
