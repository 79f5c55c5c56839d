"""The config that `main_ppo` would get from these arguments, or every argument that Hydra refuses."""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydra import compose, initialize_config_dir, initialize_config_module
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from laser_verl import resolvers
from laser_verl.commands import WrongUsage
from laser_verl.verl_ext.checks.report import Report, one_line

_OURS = ("reward.reward_kwargs", "laser")
_MEMORY = re.compile(r"--memory(=.*)?")
_GPU_GIB = 80.0
_QUOTED_GROUP = re.compile(r"Could not find '([^']+)'")
_GRAMMAR = "quote values that hold =, commas or brackets for Hydra too, e.g. 'data.train_files=[\"a=b.parquet\"]'"


@dataclass(frozen=True)
class Arguments:
    """The arguments of `main_ppo`, and those of ours."""

    overrides: tuple[str, ...]
    config_path: str | None
    config_name: str
    config_dir: str | None
    as_json: bool = False
    gpu_gib: float | None = None
    """Memory of a GPU, where `--memory` asks for the arithmetic."""


def read_arguments(arguments: Sequence[str]) -> Arguments:
    """Read a command line as Hydra reads it.

    Args:
        arguments: What would follow `python -m verl.trainer.main_ppo`, and perhaps `--json` and `--memory[=GIB]`.

    Returns:
        The arguments.

    Raises:
        WrongUsage: If Hydra would not understand it, or it asks for something else than a run.
    """
    # Hydra's own parser, though not part of its API: what it refuses, main_ppo refuses.
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise WrongUsage(
            f"check takes the arguments of `python -m verl.trainer.main_ppo`, --json and --memory; {message}"
        )

    parser.error = refuse  # type: ignore[method-assign]
    # Hydra's --version prints and exits; it is not for a check.
    if "--version" in arguments:
        refuse("leave out --version")
    theirs = [text for text in arguments if text != "--json" and not _MEMORY.fullmatch(text)]
    given: argparse.Namespace = parser.parse_args(theirs)
    others = ("cfg", "multirun", "hydra_help", "help", "info", "shell_completion", "experimental_rerun", "resolve")
    for name in others:
        if getattr(given, name, None):
            refuse(f"leave out --{name.replace('_', '-')}")
    return Arguments(
        overrides=tuple(given.overrides),
        config_path=given.config_path,
        config_name=given.config_name or "ppo_trainer",
        config_dir=given.config_dir,
        as_json="--json" in arguments,
        gpu_gib=_gpu_gib(arguments),
    )


def _gpu_gib(arguments: Sequence[str]) -> float | None:
    """What `--memory` says; None without it."""
    asked = [found[1] for text in arguments if (found := _MEMORY.fullmatch(text))]
    if not asked:
        return None
    if asked[-1] is None:
        return _GPU_GIB
    try:
        size = float(asked[-1][1:])
    except ValueError:
        size = 0.0
    if not 0 < size < float("inf"):
        raise WrongUsage(f"--memory{asked[-1]}: give the memory of a GPU in GiB, e.g. --memory=80")
    return size


def compose_config(arguments: Arguments, report: Report) -> DictConfig | None:
    """Compose the config; an override that Hydra refuses is reported and left out, so that the rest is checked too.

    Args:
        arguments: What `read_arguments` returned.
        report: Takes the mistakes.

    Returns:
        The config without the refused overrides; None if there is none even so.
    """
    left, refused = [], []
    for override in arguments.overrides:
        try:
            OverridesParser.create().parse_override(override)
            left.append(override)
        except HydraException as error:
            hint = _in_braces(override) or _GRAMMAR
            report.add(override, f"{override} is no override that Hydra can read ({first_line(error)}); {hint}")
    while True:
        try:
            config = _compose(arguments, left)
            break
        except (HydraException, OmegaConfBaseException, OSError, ValueError) as error:
            culprit = _culprit(str(error), left)
            if culprit is None:
                is_name = "Cannot find primary config" in str(error)
                there = _configs_there(arguments) if is_name else ""
                report.add("--config-name" if is_name else "arguments", _without_search_path(str(error)) + there)
                config = None
                break
            left.remove(culprit)
            refused.append((culprit, str(error)))
    known = sorted(_keys(config)) if config is not None else []
    for override, message in refused:
        report.add(_key(override), _explain(override, message, known))
    if config is not None:
        _check_added_keys(left, report)
    return config


def _compose(arguments: Arguments, overrides: list[str]) -> DictConfig:
    resolvers.register()
    with _primary(arguments.config_path):
        if arguments.config_dir is not None:
            folder = os.path.abspath(arguments.config_dir)
            if not os.path.isdir(folder):
                raise OSError(f"--config-dir {folder} is not a folder")
            path = GlobalHydra.instance().config_loader().get_search_path()
            path.append("command-line", f"file://{folder}")
        config = compose(arguments.config_name, overrides=overrides, return_hydra_config=True)
    # Lets ${hydra:...} in the config resolve, as it does in main_ppo.
    HydraConfig.instance().set_config(config)
    config = config.copy()
    with open_dict(config):
        del config["hydra"]
    return config


def _primary(config_path: str | None) -> Any:
    """Hydra, initialised as `main_ppo` does: a relative path counts from that file's folder."""
    if config_path is not None and config_path.startswith("pkg://"):
        return initialize_config_module(config_path.removeprefix("pkg://").replace("/", "."), version_base=None)
    return initialize_config_dir(os.path.normpath(_main_folder() / (config_path or "config")), version_base=None)


def _configs_there(arguments: Arguments) -> str:
    if (arguments.config_path or "").startswith("pkg://"):
        return ""
    names = sorted(file.stem for file in (_main_folder() / (arguments.config_path or "config")).glob("*.yaml"))
    close = difflib.get_close_matches(arguments.config_name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]}?" if close else ""
    return hint + (f" Configs there: {', '.join(names)}" if names and arguments.config_name not in names else "")


def _main_folder() -> Path:
    # Found, not imported: verl takes seconds, and Hydra's own errors should not wait for it.
    spec = importlib.util.find_spec("verl")
    if spec is None or spec.origin is None:
        raise WrongUsage("check needs verl; pip install 'verl>=0.9.1,<0.10'")
    return Path(spec.origin).parent / "trainer"


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def _in_braces(override: str) -> str | None:
    """What to write for a key that holds a slash, which Hydra takes among values only."""
    key, _, value = override.partition("=")
    before, slash, after = key.partition("/")
    parent, dot, first = before.rpartition(".")
    return f"write '{parent}={{{first}{slash}{after}: {value}}}'" if slash and dot else None


def _culprit(message: str, overrides: list[str]) -> str | None:
    """The override that a message of Hydra names; of several with the same key, the last."""
    group = _QUOTED_GROUP.search(message)
    for override in reversed(overrides):
        key, value = override.lstrip("+~").partition("=")[::2]
        if group and group[1] == f"{key.partition('@')[0]}/{value}":
            return override
        if re.search(rf"(?<![\w./]){re.escape(key)}(?![\w./])", message.partition("Available options")[0]):
            return override
    return None


def _explain(override: str, message: str, known: Sequence[str]) -> str:
    key, _, value = override.lstrip("+~").partition("=")
    if group := _QUOTED_GROUP.search(message):
        options = re.findall(r"^\t(?!provider=)(\S+)$", message, flags=re.MULTILINE)
        close = difflib.get_close_matches(group[1].rpartition("/")[2], options, n=1, cutoff=0.4)
        hint = f"did you mean {key}={close[0]}? " if close else ""
        return f"{override}: there is no {group[1]}; {hint}known: {', '.join(options) or 'none'}"
    if "Could not append" in message:
        return f"{override}: {key} exists already; leave out the +: {key}={value}"
    if not ("Could not override" in message or "does not exist" in message):
        return f"{override}: {_without_search_path(message)}"
    if any(key.startswith(f"{prefix}.") for prefix in _OURS):
        return f"{override}: {key} is not part of verl's config; put a + in front: +{key}={value}"
    close_key = closest(key, known)
    hint = f"did you mean {close_key}? " if close_key else ""
    return f"{override}: verl's config has no {key}; {hint}A key that is meant to be new takes a +: +{key}={value}"


def closest(key: str, known: Sequence[str]) -> str | None:
    """The dotted key most like a mistyped one: the same end elsewhere, a like name beside it, or the like over all."""
    leaf = key.rpartition(".")[2]
    for same_end in (f".{key}", f".{leaf}"):
        elsewhere = [name for name in known if name.endswith(same_end)]
        if elsewhere:
            return difflib.get_close_matches(key, elsewhere, n=1, cutoff=0.0)[0]
    parent = key.rpartition(".")[0]
    beside = [name for name in known if name.rpartition(".")[0] == parent]
    for names, cutoff in ((beside, 0.6), (known, 0.75)):
        if close := difflib.get_close_matches(key, names, n=1, cutoff=cutoff):
            return str(close[0])
    return None


def _check_added_keys(overrides: Sequence[str], report: Report) -> None:
    """Refuse new keys that look like ours, mistyped: nothing would ever read them."""
    for override in overrides:
        key = _key(override)
        if not override.startswith("+") or key.startswith(tuple(f"{name}." for name in _OURS)) or key in _OURS:
            continue
        head, _, rest = key.partition(".")
        if head == "reward" and _is_like(rest.partition(".")[0], "reward_kwargs"):
            report.add(key, f"{override}: nobody reads {key}; did you mean reward.reward_kwargs?")
        elif _is_like(head.removesuffix("_verl"), "laser"):
            report.add(key, f"{override}: nobody reads {head}; did you mean +laser.{rest or 'auto_mode'}?")


def _is_like(name: str, known: str) -> bool:
    return difflib.SequenceMatcher(None, name, known).ratio() > 0.75


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    plain = OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node
    if isinstance(plain, dict):
        for name, value in plain.items():
            yield f"{prefix}{name}"
            yield from _keys(value, f"{prefix}{name}.")


def first_line(error: BaseException) -> str:
    """The first line of an error's message that says something; Hydra's go on with links."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Error parsing override")]
    return lines[0] if lines else type(error).__name__


def _without_search_path(message: str) -> str:
    return one_line(message.partition("Config search path:")[0])
