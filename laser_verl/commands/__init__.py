"""What each `laser-verl` command does, one module per command; `laser_verl.cli` only reads arguments and prints."""

from __future__ import annotations


class CommandError(Exception):
    """An error that ends a command with a message on standard error and an exit code."""

    exit_code = 1


class BadInput(CommandError):
    """The data or run that was looked at is bad: exit code 1."""


class WrongUsage(CommandError):
    """The command was called wrongly: exit code 2."""

    exit_code = 2


def message_of(error: BaseException) -> str:
    """The text of an error, without the quotes that `str` puts around a `KeyError`'s.

    Args:
        error: Any exception.

    Returns:
        Its message, or the name of its class when it carries none; `KeyError("no 'x'")` gives `no 'x'`.
    """
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text or type(error).__name__
