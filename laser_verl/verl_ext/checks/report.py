"""What a check found: mistakes, notes, and what is active."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue

from laser_verl.memory import Estimate
from laser_verl.verl_ext.refusals import Refused

T = TypeVar("T")


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong with the arguments."""

    field: str
    """Dotted key of the config, or the argument itself where it names no key."""

    message: str
    """Value, rule and remedy, on one line."""


@dataclass
class Report:
    """Collects what the checks find; no check stops another."""

    mistakes: list[Mistake] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    active: dict[str, Any] = field(default_factory=dict)
    memory: Estimate | None = None
    """What the run takes of each GPU, where that was asked for."""

    @property
    def ok(self) -> bool:
        """Whether the run may start."""
        return not self.mistakes

    def add(self, name: str, message: str) -> None:
        """Report a mistake, once."""
        mistake = Mistake(name, one_line(message))
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)

    def names(self, name: str) -> bool:
        """Whether a mistake in this field was reported."""
        return any(mistake.field == name for mistake in self.mistakes)

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Report what the run itself would refuse."""
        try:
            yield
        except Refused as error:
            self.add(error.field, str(error))

    @contextmanager
    def guard(self, subject: str) -> Iterator[None]:
        """Turn what a check could not cope with into a mistake of the subject."""
        try:
            yield
        except MissingMandatoryValue as error:
            self.add(error.full_key or subject, f"{error.full_key or subject} has no value; give it one")
        except (ConfigAttributeError, ConfigKeyError) as error:
            self.add(error.full_key or subject, f"{error.full_key or subject} is missing; verl needs it, put it back")
        except Exception as error:  # one check that fails must not hide what the others find
            self.add(subject, f"{subject} could not be checked: {type(error).__name__}: {error}")


def shown(value: object) -> str:
    """A value as users write it on Hydra's command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def one_line(text: str) -> str:
    """A message without line breaks and without the name of the package in front."""
    return " ".join(text.split()).removeprefix("laser_verl: ")


def whole(config: DictConfig, key: str, report: Report, example: int = 8) -> int | None:
    """A positive whole number of the config; anything else is reported and None.

    Args:
        config: The composed config.
        key: Dotted key.
        report: Takes the mistake.
        example: A value that would be fine.

    Returns:
        The number.
    """
    value = OmegaConf.select(config, key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        report.add(key, f"{key}={value!r} must be a whole number of at least 1; give e.g. {key}={example}")
        return None
    return value


def each_mistake(
    attempt: Callable[[dict[str, Any]], T], given: dict[str, Any]
) -> tuple[T | None, list[tuple[str, str]]]:
    """Find all wrong options with a function that raises at the first.

    After an error the option it names is left out and the function is tried again. A later error that does not begin
    with an option that was given is an echo of what was left out. An error that begins with NAME=None is about NAME.

    Args:
        attempt: Takes the options, raises ValueError, KeyError or TypeError.
        given: The options.

    Returns:
        What the function returned (None if it never did), and (option or "", message) per mistake.
    """
    left, found = dict(given), []
    while True:
        try:
            return attempt(left), found
        except (ValueError, KeyError, TypeError) as error:
            text = one_line(str(error.args[0]) if error.args else type(error).__name__)
        places = {key: match.start() for key in left if (match := re.search(rf"(?<!\w){re.escape(key)}(?!\w)", text))}
        name = min(places, key=places.__getitem__, default="")
        if found and name and not re.match(rf"([\w.]+\.)?{re.escape(name)}(?!\w)", text):
            name = ""
        if name or not found:
            lacking = re.match(r"(\w+)=None ", text)
            found.append((lacking[1] if lacking and lacking[1] not in given else name, text))
        if not name:
            return None, found
        del left[name]
