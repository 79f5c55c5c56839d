"""The names that `methods` lists and `simulate` takes, length rewards and advantage rules; and those of `policies`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import typer

from laser_verl.commands import WrongUsage, message_of
from laser_verl.core import registry
from laser_verl.core.advantages.base import describe_rule, rule_names
from laser_verl.core.checks import unknown
from laser_verl.core.policies.base import describe_policy, policy_names

METHOD = "reward.reward_manager.name"
RULE = "algorithm.adv_estimator"
POLICY = "laser.sampler.policy"

_FIND = {METHOD: registry.describe, RULE: describe_rule, POLICY: describe_policy}


@dataclass(frozen=True)
class Entry:
    """What one name stands for.

    Attributes:
        name: As users write it.
        parts: What the registries know of it, by the key of verl's config that takes the name: a length reward, an
            advantage rule, or both.
    """

    name: str
    parts: Mapping[str, registry.MethodInfo]


def select_policies(name: str | None) -> list[Entry]:
    """One sampling policy, or all of them.

    Args:
        name: Registered name, or None for all.

    Returns:
        What the registry knows of each.

    Raises:
        WrongUsage: If nothing has this name.
    """
    try:
        return [Entry(chosen, {POLICY: describe_policy(chosen)}) for chosen in ([name] if name else policy_names())]
    except ValueError as error:
        raise WrongUsage(message_of(error)) from error


def select(name: str | None) -> list[Entry]:
    """One name, or all of them: first the length rewards, then the names that are advantage rules only.

    Of all, what another package brings and cannot be imported is left out, which standard error says.

    Args:
        name: Registered name, or None for all.

    Returns:
        What the registries know of each.

    Raises:
        WrongUsage: If nothing has this name, or it cannot be imported.
    """
    known = {METHOD: registry.method_names(), RULE: rule_names()}
    names = list(dict.fromkeys([*known[METHOD], *known[RULE]]))
    if name is not None and name not in names:
        raise WrongUsage(unknown("method", name, names))
    entries = []
    for chosen in names if name is None else [name]:
        try:
            entries.append(Entry(chosen, {key: _FIND[key](chosen) for key in known if chosen in known[key]}))
        except (ValueError, KeyError) as error:
            if name is not None:
                raise WrongUsage(message_of(error)) from error
            typer.echo(f"left out: {message_of(error)}", err=True)
    return entries
