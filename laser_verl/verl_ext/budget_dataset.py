"""verl's data set with each prompt's token budget said in the prompt, as L1 asks for.

Source: arXiv 2503.04697, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import datasets
from omegaconf import DictConfig, open_dict
from verl.utils.dataset.rl_dataset import RLHFDataset

from laser_verl.core.framework import Method


class BudgetDataset(RLHFDataset):
    """Adds a sentence to the last message of every prompt that has a budget.

    Reads ``data.laser_budget``: ``instruction``, a sentence with ``{budget}``, and ``budget``, the tokens of prompts
    whose ``extra_info`` has no budget of their own, or None.
    """

    def maybe_filter_out_long_prompts(self, dataframe: Any = None) -> datasets.Dataset:
        """Say the budgets, before verl measures the prompts."""
        given = self.config.laser_budget
        return super().maybe_filter_out_long_prompts(
            dataframe.map(
                lambda row: {self.prompt_key: with_budget(row, self.prompt_key, given.instruction, given.budget)},
                desc="laser_verl: budgets into prompts",
            )
        )


def with_budget(row: Mapping[str, Any], prompt_key: str, instruction: str, budget: int | None) -> list[dict[str, Any]]:
    """The prompt of a row with its budget.

    Args:
        row: a row of the data.
        prompt_key: the column of its chat messages.
        instruction: a sentence with ``{budget}``.
        budget: tokens for a row without ``extra_info.budget``; None leaves its prompt alone.

    Returns:
        The messages: with "Use {budget} tokens." and a budget of 500, the last one, "2 + 3?", becomes
        "2 + 3? Use 500 tokens.".
    """
    own = (row.get("extra_info") or {}).get("budget")
    tokens = budget if own is None else own
    messages = [dict(message) for message in row[prompt_key]]
    if tokens is not None and messages and isinstance(messages[-1]["content"], str):
        messages[-1]["content"] = f"{messages[-1]['content']} {instruction.format(budget=int(tokens))}"
    return messages


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
