"""Tables and progress on standard output."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from laser_verl.commands.output import written


class Output(Console):
    """rich's console, with the errors of `laser_verl.commands.output`."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does; raises as `write`."""
        with written():
            super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """Let the error through, where rich would exit with 1."""
        raise
