"""verl's data set with each prompt's token budget said in the prompt, as L1 asks for.

Source: arXiv 2503.04697, section 3.
"""

from __future__ import annotations

from typing import Any

import datasets
from omegaconf import DictConfig, open_dict
from verl.utils.dataset.rl_dataset import RLHFDataset

import laser_verl
from laser_verl.core.framework import Method
from laser_verl.verl_ext.columns import say_budget


class BudgetDataset(RLHFDataset):
    """Adds a sentence to the last message of every prompt that has a budget.

    Reads ``data.laser_budget``: ``instruction``, a sentence with ``{budget}``, and ``budget``, the tokens of prompts
    whose ``extra_info`` has no budget of their own, or None.
    """

    def maybe_filter_out_long_prompts(self, dataframe: Any = None) -> datasets.Dataset:
        """Say the budgets, before verl measures the prompts."""
        given = self.config.laser_budget
        # What is among the arguments decides whether a result in the cache of `datasets` still holds.
        arguments = {
            "prompt_key": self.prompt_key,
            "instruction": str(given.instruction),
            "budget": given.budget,
            "release": laser_verl.__version__,
        }
        return super().maybe_filter_out_long_prompts(
            dataframe.map(_with_budget, fn_kwargs=arguments, desc="laser_verl: budgets into prompts")
        )


def _with_budget(row: dict[str, Any], prompt_key: str, instruction: str, budget: int | None, release: str) -> Any:
    return {prompt_key: say_budget(row, prompt_key, instruction, budget)}


def use_budget_prompts(config: DictConfig, method: Method) -> bool:
    """Have verl read its data through :class:`BudgetDataset` where a method puts budgets into prompts.

    Args:
        config: the run's config, changed in place.
        method: the method in use.

    Returns:
        Whether it does so; False where the run has a data set class of its own, which then has to say the budgets.
    """
    if method.instruction is None or (config.data.get("custom_cls") or {}).get("path"):
        return False
    with open_dict(config):
        config.data.custom_cls = {"path": f"pkg://{__name__}", "name": BudgetDataset.__name__}
        config.data.laser_budget = {"instruction": method.instruction, "budget": getattr(method, "budget", None)}
    return True
