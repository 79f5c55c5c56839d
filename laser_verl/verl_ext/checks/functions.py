"""Python functions that a config names: users' own, looked up without running their file, our own, and formats."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from laser_verl.core.checks import unknown
from laser_verl.scoring import verl_score
from laser_verl.scoring.formats import reader
from laser_verl.verl_ext.checks.report import Report, each_mistake

_NODE = "reward.custom_reward_function"
_CALLABLE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_PASSED = ("data_source", "solution_str", "ground_truth", "extra_info")
_RESPONSES = (("", False), ("x", True))


def check_reward_function(config: DictConfig, report: Report) -> None:
    """Check that `reward.custom_reward_function` names a function that takes what verl passes, and its options if ours.

    Args:
        config: The composed config.
        report: Takes mistakes and what is active.
    """
    path, name = OmegaConf.select(config, f"{_NODE}.path"), OmegaConf.select(config, f"{_NODE}.name")
    if not path:
        return
    report.active["custom_reward_function"] = f"{name} of {path}"
    check_function(str(path), str(name), f"{_NODE}.path", f"{_NODE}.name", report)
    where = f"{_NODE}.reward_kwargs"
    given = OmegaConf.select(config, where, default={})
    if not isinstance(given, DictConfig | dict):
        report.add(where, f"{where}={given!r} must be a mapping; leave it out for none")
    elif is_our_function(config):
        plain: Any = OmegaConf.to_container(OmegaConf.create(given), resolve=True)
        _check_options(where, {str(key): value for key, value in plain.items()}, report)


def is_our_function(config: DictConfig) -> bool:
    """Whether `reward.custom_reward_function` is `verl_score.compute_score`."""
    path, name = OmegaConf.select(config, f"{_NODE}.path"), OmegaConf.select(config, f"{_NODE}.name")
    file = _file_of(str(path)) if path and name == verl_score.compute_score.__name__ else None
    return file is not None and file.resolve() == Path(verl_score.__file__).resolve()


def _check_options(where: str, given: dict[str, Any], report: Report) -> None:
    known = list(inspect.signature(verl_score.read_options).parameters)
    for key in given:
        if key not in known:
            report.add(f"{where}.{key}", f"{where}: {unknown('option', key, known)}")
    options = {key: value for key, value in given.items() if key in known}
    _, found = each_mistake(lambda kwargs: verl_score.read_options(**kwargs), options)
    for key, message in found:
        report.add(f"{where}.{key}".rstrip("."), f"{where}.{message}")
    if "thinking" in options and not report.names(f"{where}.thinking"):
        check_format(options["thinking"], where, report)


def check_format(thinking: str, where: str, report: Report) -> None:
    """Try a format on two short responses: one that a package brings may fail on every call.

    Args:
        thinking: A name of `formats.known()`.
        where: Config key of the options that `thinking` is among.
        report: Takes the mistake.
    """
    try:
        for response, prompt_opens_think in _RESPONSES:
            reader(thinking)(response, prompt_opens_think)
    except ValueError as error:
        report.add(f"{where}.thinking", f"{where}.{error}")


def check_function(path: str, name: str, path_key: str, name_key: str, report: Report) -> None:
    """Check that a path and a name are those of a function that takes what a reward function is passed.

    Args:
        path: File, `file://` or `pkg://` path, as verl takes it.
        name: The function there.
        path_key: Config key of the path.
        name_key: Config key of the name.
        report: Takes the mistakes.
    """
    found = check_object(path, name, path_key, name_key, report)
    if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef) and not found.decorator_list and not found.args.kwarg:
        given = [argument.arg for argument in (*found.args.args, *found.args.kwonlyargs)]
        missing = [argument for argument in _PASSED if argument not in given]
        if missing:
            report.add(
                name_key,
                f"{name_key}={name} takes {', '.join(given) or 'nothing'}, but is called with {', '.join(_PASSED)}; "
                f"add {', '.join(missing)}, or **kwargs",
            )


def check_object(path: str, name: str, path_key: str, name_key: str, report: Report) -> ast.AST | None:
    """Find a top-level name in a file or module.

    Args:
        path: File, `file://` or `pkg://` path, as verl takes it.
        name: What to find there.
        path_key: Config key of the path.
        name_key: Config key of the name.
        report: Takes the mistakes.

    Returns:
        What defines the name; None where it cannot be told or is not there.
    """
    file = _file_of(path)
    if file is None or not file.is_file():
        report.add(path_key, f"{path_key}={path} is no file or module; give the path of a Python file")
        return None
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        report.add(path_key, f"{path_key}={path} is not valid Python ({error}); correct it")
        return None
    defined = dict(_definitions(tree.body))
    if name in defined or "*" in defined:
        return defined.get(name)
    close = difflib.get_close_matches(name, defined, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    there = [key for key, value in defined.items() if isinstance(value, _CALLABLE)]
    report.add(name_key, f"{name_key}={name} is not in {path}; {hint}there are: {', '.join(there) or 'none'}")
    return None


def _file_of(path: str) -> Path | None:
    if not path.startswith("pkg://"):
        return Path(path.removeprefix("file://"))
    try:
        spec = importlib.util.find_spec(path.removeprefix("pkg://").replace("/", "."))
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _definitions(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    for item in body:
        if isinstance(item, _CALLABLE):
            yield item.name, item
        elif isinstance(item, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name, item) for alias in item.names)
        elif isinstance(item, ast.Assign | ast.AnnAssign):
            targets = item.targets if isinstance(item, ast.Assign) else [item.target]
            names = (node for target in targets for node in ast.walk(target))
            yield from ((node.id, item) for node in names if isinstance(node, ast.Name))
        elif isinstance(item, ast.If | ast.Try | ast.With):
            yield from _definitions([*item.body, *getattr(item, "orelse", []), *getattr(item, "finalbody", [])])
            for handler in getattr(item, "handlers", []):
                yield from _definitions(handler.body)
