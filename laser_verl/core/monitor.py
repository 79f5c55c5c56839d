"""Where target lengths come from: recent training groups, or passes over a monitor set.

A monitor set is a fixed set of prompts that the model as it is now answers every so many steps, with the sampling of
the training, so that its responses show how long answers are without teaching anything.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from laser_verl.core.checks import positive_int, unknown
from laser_verl.core.options import checked_option

logger = logging.getLogger(__name__)

RECENT = "recent"
MONITOR = "monitor"
FIXED = "fixed"
_MOVING = (RECENT, MONITOR)

_M = TypeVar("_M", bound="MonitorSet")

# By where target lengths come from: options that do nothing then, what makes them so, and the way to put them to use.
_WITHOUT_EFFECT = {
    FIXED: (
        (
            "lower_bound",
            "upper_bound",
            "interval",
            "rounding",
            "source",
            "window",
            "max_age",
            "update_every",
            "monitor",
        ),
        "fixed target_lengths",
        "leave out target_lengths to let them follow the training",
    ),
    RECENT: (("monitor",), "source='recent'", "set source=monitor to choose the targets from a monitor set"),
    MONITOR: (("window", "max_age"), "source='monitor'", "set source=recent to choose the targets from recent groups"),
}


@dataclass(frozen=True, kw_only=True)
class MonitorSet:
    """Which prompts are monitored.

    Source: arXiv 2505.15612, section 5.2, with 500 prompts of the training data.

    Attributes:
        size: Prompts, 1 or more; of a file that has fewer, all.
        file: Data file that they are taken from; None takes them from the training data.
        exclude: Whether the training leaves them out.
    """

    size: int = 500
    file: str | None = None
    exclude: bool = False

    def __post_init__(self) -> None:
        """Check the values and how they go together."""
        positive_int("monitor.size", self.size, "number of prompts", 500)
        if self.file == "":
            raise ValueError("monitor.file='' names no file; give a data file, or null to take the training data")
        if self.exclude and self.file is not None:
            raise ValueError(
                f"monitor.exclude=true has no effect with monitor.file={self.file!r}, whose prompts are not taken from "
                "the training data; leave out one of the two"
            )

    @classmethod
    def of(cls: type[_M], option: Any, **more: Any) -> _M:
        """Make it from what the user wrote; a key left out keeps its default.

        `MonitorSet.of({"size": 100})` is `MonitorSet(size=100, file=None, exclude=False)`.

        Args:
            option: Mapping of size, file, exclude, or a `MonitorSet`.
            **more: Fields that are no keys of the option.

        Returns:
            The checked set.

        Raises:
            ValueError: An unknown key, or a value that breaks its rule.
        """
        hints = get_type_hints(MonitorSet)
        is_made = isinstance(option, MonitorSet)
        values = {key: getattr(option, key) for key in hints} if is_made else checked_option("monitor", option, Mapping)
        for key in values:
            if key not in hints:
                raise ValueError(unknown("monitor key", key, hints))
        checked = {key: checked_option(f"monitor.{key}", value, hints[key]) for key, value in values.items()}
        return cls(**checked, **more)


@dataclass(frozen=True, kw_only=True)
class Monitoring(MonitorSet):
    """Which prompts are monitored, and when.

    Source: arXiv 2505.15612, section 5.2, every 20 steps.

    Attributes:
        every: Steps between two passes, 1 or more.
    """

    every: int

    def __post_init__(self) -> None:
        """Check the values and how they go together."""
        super().__post_init__()
        positive_int("update_every", self.every, "number of steps", 20)

    def is_due(self, step: int) -> bool:
        """Whether a pass comes before the update of a step: with every 20, before steps 1, 21, 41, ...

        Args:
            step: Training step, counted from 1.

        Returns:
            The same whatever passes there were, so that a resumed run needs no memory of them.
        """
        return (step - 1) % self.every == 0

    def text(self) -> str:
        """Say it in a few words, e.g. `a monitor set of 500 prompts, every 20 steps`."""
        prompts = f"{self.size} prompts" if self.file is None else f"up to {self.size} prompts of {self.file}"
        return f"a monitor set of {prompts}, every {self.every} steps"


if TYPE_CHECKING:
    MonitorOption = Monitoring | None
else:
    # What users write, in place of which a method keeps what it comes to; the registry checks options by this type.
    MonitorOption = Mapping[str, Any]

PAPER_SET: Any = MonitorSet()
"""Default of the option `monitor`."""


def monitoring(kind: str, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> Monitoring | None:
    """Read what a method monitors from its options, and refuse those that do nothing with its source of target lengths.

    Args:
        kind: "fixed", or the option `source`.
        options: All options of the method, `monitor` as the user wrote it.
        defaults: The values at which they count as not given.

    Returns:
        What is monitored; None unless `kind` is "monitor".

    Raises:
        ValueError: The source is unknown, an option was given that has no effect with it, or `monitor` is wrong.
    """
    if options["source"] not in _MOVING:
        raise ValueError(unknown("source", options["source"], _MOVING))
    names, beside, remedy = _WITHOUT_EFFECT[kind]
    for name in names:
        # all options as `laser-verl methods` prints them are no options given
        if options[name] not in (defaults[name], asdict(PAPER_SET)):
            raise ValueError(f"{name}={options[name]!r} has no effect with {beside}; leave out {name}, or {remedy}")
    return Monitoring.of(options["monitor"], every=options["update_every"]) if kind == MONITOR else None


def check_saved_source(saved: object, here: str) -> None:
    """Raise ValueError if saved target lengths were fixed and those of this run are not, or the other way round."""
    if saved != here and (saved not in _MOVING or here not in _MOVING):
        raise ValueError(
            f"the saved targets are {saved}, those of this run are {here}; to go on, set target_lengths as it was, or "
            "delete the file laser_state of that checkpoint to start afresh"
        )


def say_new_source(saved: object, here: str) -> None:
    """Log that a resumed run has another source of target lengths than the saved one, if so."""
    if saved != here:
        logger.info(
            "laser_verl: the saved target lengths are of source=%s, this run has source=%s: they stay until it brings "
            "the first rollouts to choose by; those that they rest on are dropped",
            saved,
            here,
        )


def common(monitors: Mapping[str, Monitoring | None]) -> Monitoring | None:
    """Return what the methods of a mixture monitor, which has to be the same: one pass serves them all.

    Args:
        monitors: That of each data source's method; None where it has none.

    Returns:
        The one there is; None if no method has one.

    Raises:
        ValueError: Two of them differ; the message names both sources.
    """
    given = [(source, monitor) for source, monitor in monitors.items() if monitor is not None]
    for source, monitor in given[1:]:
        first, wanted = given[0]
        differing = [
            f"{'update_every' if name == 'every' else f'monitor.{name}'} {getattr(wanted, name)} and {value}"
            for name, value in asdict(monitor).items()
            if value != getattr(wanted, name)
        ]
        if differing:
            raise ValueError(
                f"per_data_source.{first} and per_data_source.{source} have different monitor sets, "
                f"{', '.join(differing)}; one pass serves all methods, so give both the same"
            )
    return given[0][1] if given else None
