"""Entry point ``verl.plugins``: adds our names to verl's registries.

verl imports this module at the end of ``import verl``, in the driver and in every Ray worker. Only the CPU platform
has to exist at that moment; everything else waits until verl imports the module that it belongs to, so that the
plugin costs nothing where it is not used. verl logs a failing plugin at DEBUG level only; here a failure is an ERROR,
is remembered for ``laser-verl info``, and is raised again.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any

import wrapt

from laser_verl import resolvers
from laser_verl.verl_ext.compat import load_plugin_in_every_worker
from laser_verl.verl_ext.logs import keep_messages

logger = logging.getLogger("laser_verl")
# verl sets the root logger to WARNING; the start line that says what is active is worth more than that.
keep_messages(logger)

# kind: (verl's module whose import calls for it, our module that registers at its end)
_LAZY: dict[str, tuple[str, str]] = {
    "reward_managers": ("verl.experimental.reward_loop.reward_manager", "laser_verl.verl_ext.reward_manager"),
    "advantage_estimators": ("verl.trainer.ppo.core_algos", "laser_verl.verl_ext.advantages"),
    "agent_loops": ("verl.experimental.agent_loop", "laser_verl.verl_ext.seeded_rollout"),
    "trainer_modes": ("verl.trainer.ppo.v1", "laser_verl.verl_ext.trainer_modes"),
}
_CPU_LAZY = {"checkpoint_engines": ("verl.checkpoint_engine", "laser_verl.verl_ext.checkpoint_cpu")}

_failed: dict[str, str] = {}


def report() -> dict[str, Any]:
    """What is registered in this process and what failed.

    Returns:
        ``{"registered": {kind: [names]}, "failed": {kind: reason}}``. Kinds whose verl module has not been imported
        yet are absent; :func:`load_all` imports them.
    """
    modules = {"platforms": "laser_verl.verl_ext.platform_cpu"}
    modules |= {kind: ours for kind, (_, ours) in {**_LAZY, **_CPU_LAZY}.items()}
    registered = {kind: getattr(sys.modules.get(name), "REGISTERED", None) for kind, name in modules.items()}
    return {"registered": {kind: names for kind, names in registered.items() if names}, "failed": dict(_failed)}


def load_all() -> dict[str, Any]:
    """Import the verl modules that we extend, then :func:`report`. Takes seconds: verl's trainer imports vLLM."""
    for kind, (module, _) in _LAZY.items():
        try:
            importlib.import_module(module)
        except Exception as error:
            _failed.setdefault(kind, f"{type(error).__name__}: {error}")
    return report()


def _loudly(kind: str, module: str) -> None:
    """Import one of our modules, which registers at its end.

    An import that is already under way (somebody imported our module first, and that imported verl's) registers when
    it is done.
    """
    try:
        importlib.import_module(module)
    except Exception as error:
        _failed[kind] = f"{type(error).__name__}: {error}"
        logger.exception("laser_verl could not register its %s", kind.replace("_", " "))
        raise


def _register() -> None:
    resolvers.register()
    lazy = dict(_LAZY)
    if os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu":
        _loudly("platforms", "laser_verl.verl_ext.platform_cpu")
        lazy |= _CPU_LAZY
    for kind, (verl_module, our_module) in lazy.items():
        wrapt.when_imported(verl_module)(lambda _, kind=kind, name=our_module: _loudly(kind, name))
    wrapt.when_imported("verl.trainer.constants_ppo")(load_plugin_in_every_worker)


_register()
