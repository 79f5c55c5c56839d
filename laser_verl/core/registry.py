"""Where methods and advantage rules are found by name, and how their options are checked.

A package of its own adds methods through the entry-point group `laser_verl.methods`, `NAME = "module"`: the module is
imported when the name is asked for, and registers it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar, cast, get_type_hints

from laser_verl.core.checks import unknown
from laser_verl.core.framework import Context, Method, Need
from laser_verl.core.options import checked_option, option_texts

ENTRY_POINTS = "laser_verl.methods"

RESERVED = frozenset({"dapo", "gdpo", "naive", "rate_limited", "remote"})
"""Names of verl's own reward managers, which stand where a method's name would."""

_VERLS = "has the name of a reward manager of verl"

# Options of every method, shown after its own.
_SHARED = ("scores", "ramp")


@dataclass(frozen=True)
class MethodInfo:
    """A registered method as documentation.

    Attributes:
        name: Registered name.
        needs: What it has to see with default options.
        options: Default of each option, in plain types; None for a required one too.
        meanings: One line on each option.
        required: Options that have no default.
        columns: Columns of the data, or of the responses, that it reads.
        formula: One line.
        source: Paper and equation.
        summary: One line.
        text: All of its documentation but the options.
    """

    name: str
    needs: frozenset[Need]
    options: dict[str, Any]
    meanings: dict[str, str]
    required: tuple[str, ...]
    columns: tuple[str, ...]
    formula: str
    source: str
    summary: str
    text: str


@dataclass(frozen=True)
class _Entry:
    cls: type[Any]
    formula: str
    source: str


_C = TypeVar("_C", bound=type[Any])


class Registry:
    """Classes by name; their dataclass fields are their options."""

    def __init__(self, kind: str, entry_point_group: str | None = None, reserved: Iterable[str] = ()) -> None:
        """Start empty.

        Args:
            kind: What messages call an entry, e.g. "method".
            entry_point_group: Group of entry points by which other packages add names; None for none.
            reserved: Names that verl gives to reward managers of its own.
        """
        self._kind = kind
        self._group = entry_point_group
        self._reserved = frozenset(reserved)
        self._entries: dict[str, _Entry] = {}

    def register(self, name: str, *, needs: Iterable[Need], formula: str, source: str) -> Callable[[_C], _C]:
        """Register a dataclass under a name.

        Args:
            name: Name that users write.
            needs: What it has to see with default options.
            formula: One line.
            source: Paper and equation.

        Returns:
            A class decorator.

        Raises:
            ValueError: The name is taken.
        """
        if name in self._reserved:
            raise ValueError(f"{self._kind} {name!r} {_VERLS}; rename it, e.g. 'my_{name}'")

        def add(cls: _C) -> _C:
            assert is_dataclass(cls), f"{cls.__name__} must be a dataclass: its fields are its options"
            if name in self._entries:
                taken = self._entries[name].cls.__qualname__
                raise ValueError(f"{self._kind} {name!r} is already {taken}; choose another name")
            cls.name, cls.class_needs = name, frozenset(needs)  # type: ignore[attr-defined]
            self._entries[name] = _Entry(cls, formula, source)
            return cls

        return add

    def names(self) -> list[str]:
        """Return the names, sorted, those of other packages included; imports none of them."""
        return sorted({*self._entries, *(point.name for point in self._points())} - self._reserved)

    def left_out(self) -> list[str]:
        """Say of each name of another package that is verl's own why it is left out."""
        return [self._clash(point) for point in self._points() if point.name in self._reserved]

    def describe(self, name: str) -> MethodInfo:
        """Look an entry up.

        Args:
            name: Registered name, e.g. "laser_d".

        Returns:
            Its documentation.

        Raises:
            ValueError: No such name.
        """
        entry = self._entry(name)
        options = _options(entry.cls)
        text = inspect.getdoc(entry.cls) or ""
        return MethodInfo(
            name=name,
            needs=entry.cls.class_needs,
            options={key: _default(item) for key, item in options.items()},
            meanings=option_texts(entry.cls),
            required=tuple(key for key, item in options.items() if _is_required(item)),
            columns=tuple(entry.cls.columns),
            formula=entry.formula,
            source=entry.source,
            summary=text.partition("\n")[0],
            text=text.partition("\nAttributes:")[0].strip(),
        )

    def build(self, name: str, options: Mapping[str, Any] | None = None, context: Context | None = None) -> Any:
        """Make an object from what the user wrote.

        Args:
            name: Registered name.
            options: Values by option name.
            context: What the run's configuration says; None knows nothing.

        Returns:
            An object of the registered class.

        Raises:
            ValueError: Unknown name or option (the closest known one is suggested), a missing one, or a wrong value.
        """
        cls, given = self._entry(name).cls, dict(options or {})
        known = _options(cls)
        for key in given:
            if key not in known:
                raise ValueError(unknown(f"{name} option", key, known))
        for key, item in known.items():
            if _is_required(item) and key not in given:
                raise ValueError(f"{name} needs the option {key}; its options are {', '.join(known)}")
        hints = get_type_hints(cls)
        given = {key: checked_option(key, value, hints[key], _made(known[key])) for key, value in given.items()}
        preset = cls.presets.get(given.get("preset"), {})
        return cls(**{**preset, **given}, context=context or Context())

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:  # looking among installed packages takes milliseconds
            for point in self._points():
                if point.name == name:
                    self._load(point)
        if name not in self._entries:
            raise ValueError(unknown(self._kind, name, self.names()))
        return self._entries[name]

    def _origin(self, point: EntryPoint) -> str:
        return f"{self._kind} {point.name!r} of {point.dist.name if point.dist else 'an unknown package'}"

    def _clash(self, point: EntryPoint) -> str:
        where = self._origin(point)
        return f"{where} {_VERLS}, so it is left out; rename it, e.g. 'my_{point.name}'"

    def _load(self, point: EntryPoint) -> None:
        if point.name in self._reserved:
            raise ValueError(self._clash(point))
        origin = self._origin(point)
        try:
            point.load()
        except Exception as error:
            raise ValueError(
                f"{origin} cannot be imported from {point.value!r}: {type(error).__name__}: {error}; "
                "mend or uninstall it"
            ) from error
        if point.name not in self._entries:
            raise ValueError(
                f"{origin}: importing {point.value!r} registers no such name; use @register({point.name!r})"
            )

    def _points(self) -> list[EntryPoint]:
        return list(entry_points(group=self._group)) if self._group else []


METHODS = Registry("method", ENTRY_POINTS, RESERVED)

register = METHODS.register


def method_names() -> list[str]:
    """Return the names of the methods, sorted."""
    return METHODS.names()


def describe(name: str) -> MethodInfo:
    """Look a method up; see `Registry.describe`."""
    return METHODS.describe(name)


def build(name: str, options: Mapping[str, Any] | None = None, context: Context | None = None) -> Method:
    """Make a method from what the user wrote; see `Registry.build`.

    `build("laser", {"target_length": 4096})` is `Laser(target_length=4096)`.
    """
    return cast(Method, METHODS.build(name, options, context))


def _options(cls: type[Any]) -> dict[str, Field[Any]]:
    known = {item.name: item for item in fields(cls) if item.init and item.name != "context"}
    shared = {name: known.pop(name) for name in _SHARED if name in known}
    return known | shared


def _is_required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _made(item: Field[Any]) -> Any:
    """The default of an option, None of a required one."""
    if _is_required(item):
        return None
    return item.default if item.default_factory is MISSING else item.default_factory()


def _default(item: Field[Any]) -> Any:
    value = _made(item)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return list(value) if isinstance(value, tuple) else value
