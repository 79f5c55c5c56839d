"""Standard output: a full disk is an error in words, and a reader that goes away is none."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Final

import typer

from laser_verl.commands import CommandError

# What a shell shows for a program that the signal of a closed pipe ended, as it does most tools: 128 + SIGPIPE.
READER_GONE: Final = 141


class ReaderGone(CommandError):
    """The reader of standard output, as `head -1`, has had enough; nothing to say about it."""

    exit_code = READER_GONE


def write(text: str) -> None:
    """Write a text and a line end to standard output.

    Args:
        text: One line or several.

    Raises:
        ReaderGone: If nobody reads any more.
        CommandError: If it cannot be written for another reason, as on a full disk.
    """
    with written():
        typer.echo(text)


@contextlib.contextmanager
def written() -> Iterator[None]:
    """Word the errors of whatever is written to standard output inside; raises as `write`."""
    try:
        yield
    except BrokenPipeError as error:
        _drop_the_rest()
        raise ReaderGone from error
    except OSError as error:
        _drop_the_rest()
        raise CommandError(f"standard output cannot be written: {error.strerror}") from error


def _drop_the_rest() -> None:
    """Send what is still buffered nowhere: Python would fail on it once more at its end, and exit with 120."""
    with contextlib.suppress(OSError, ValueError):
        number = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
