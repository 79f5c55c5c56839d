"""Where the size of a method's length term changes no advantage."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from laser_verl.core.advantages.ddca import Ddca
from laser_verl.core.framework import Method
from laser_verl.core.mixed import Mixed
from laser_verl.verl_ext.checks.report import Report, shown
from laser_verl.verl_ext.settings import GDPO, Settings

_ESTIMATOR = "algorithm.adv_estimator"
_NORM = "algorithm.norm_adv_by_std_in_grpo"

# verl does not pass the switch on to it.
_ALWAYS_BY_STD = "grpo_vectorized"
_BY_STD = ("grpo", "grpo_passk", _ALWAYS_BY_STD, "mgpo", "grpo_lead", "dot", "ddca")


def note_size_of_length_term(config: DictConfig, method: Method, settings: Settings, report: Report) -> None:
    """Say where the option that scales the length term does nothing.

    Args:
        config: The composed config.
        method: The method in use.
        settings: Ours.
        report: Takes the notes.
    """
    estimator, scales = OmegaConf.select(config, _ESTIMATOR), ", ".join(_scales(method))
    term = f"the size of {settings.method}'s length term ({scales}) does nothing"
    if scales and _divides_by_std(config, settings):
        uncut = " and of which nothing is cut" if estimator == "dot" else ""
        remedy = "" if estimator == _ALWAYS_BY_STD else f"{_NORM}=false, or "
        report.notes.append(
            f"{_ESTIMATOR}={estimator} divides by each group's standard deviation, so in groups whose answers are all "
            f"right{uncut} {term}; it counts in mixed groups only. To have it count everywhere: {remedy}"
            f"{_ESTIMATOR}=dler"
        )
    if scales and estimator == GDPO:
        report.notes.append(
            f"{_ESTIMATOR}=gdpo brings task and length reward to the same size, so {term}; weigh them by "
            "+algorithm.gdpo_reward_weights=[1.0,0.5]"
        )
    if estimator == "drpo" and settings.method != "none":
        report.notes.append(f"{_ESTIMATOR}=drpo gives groups whose answers are all right no advantage at all")


def _scales(method: Method) -> list[str]:
    """The options that multiply a length term, with their values; of a mixture those of all its methods."""
    parts = {"": method}
    if isinstance(method, Mixed):
        parts = {f"per_data_source.{source}.": part for source, part in method.parts.items()}
    found = [(where, part, part.scale_in_force()) for where, part in parts.items()]
    return [f"{where}{part.scaled_by}={shown(value)}" for where, part, value in found if value]


def _divides_by_std(config: DictConfig, settings: Settings) -> bool:
    estimator = OmegaConf.select(config, _ESTIMATOR)
    if estimator == _ALWAYS_BY_STD:
        return True
    if estimator not in _BY_STD or OmegaConf.select(config, _NORM) is False:
        return False
    try:
        rule = settings.build_rule()
    except ValueError:  # reported already
        return False
    return not (isinstance(rule, Ddca) and rule.base == "rloo")
