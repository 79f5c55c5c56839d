"""Every method against plain loops written from the papers' equations (`tests/oracles`), on random runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laser_verl.core import method_names
from tests.oracles.rows import Batch, Group, Row
from tests.property.random_groups import EDGES, LONGEST, SIZES, SOURCES, all_oracles, random_run, rewards

# A busy machine is no failure.
settings.register_profile("oracles", deadline=None, max_examples=300)
settings.load_profile("oracles")

ORACLES = all_oracles()
TRIES = [(name, options) for name, oracle in sorted(ORACLES.items()) for options in oracle.options]
RUN = random_run(seed=6)

pytestmark = pytest.mark.filterwarnings("error")


def close(got: Any, wanted: Any) -> None:
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


def test_every_method_has_an_oracle() -> None:
    assert ORACLES.keys() == set(method_names())


PROMISES: dict[str, Callable[[Group], bool]] = {
    "nobody right": lambda group: not any(row.solved for row in group),
    "everybody right": lambda group: all(row.solved for row in group),
    "equal lengths": lambda group: len({row.length for row in group}) == 1,
    "ties": lambda group: 1 < len({row.length for row in group}) < len(group),
    "right in a bad format": lambda group: any(row.correct and not row.well_formed for row in group),
    "wrong in a bad format": lambda group: any(not row.correct and not row.well_formed for row in group),
    "wrong loops": lambda group: any(row.repetitive and row.well_formed and not row.correct for row in group),
    "right when cut": lambda group: any(row.truncated and row.solved for row in group),
    "no tokens": lambda group: any(row.length == 0 for row in group),
}


def test_the_random_run_holds_what_is_promised() -> None:
    groups = [group for batch in RUN for group in batch.groups]
    assert len(groups) >= 1000
    assert {len(group) for group in groups} == set(SIZES)
    several = [group for group in groups if len(group) > 2]
    for promise, is_met in PROMISES.items():
        assert sum(map(is_met, several)) >= 50, promise
    times = Counter(group[0].prompt for group in groups)
    assert sum(number > 1 for number in times.values()) >= 100


def test_the_random_run_has_batches_that_think_too_much_and_too_little() -> None:
    shares = [np.mean([row.columns["uses_thinking"] for group in batch.groups for row in group]) for batch in RUN]
    assert min(shares) < 0.2
    assert sum(0.6 < share < 1.0 for share in shares) >= 2
    assert max(shares) == 1.0


@pytest.mark.parametrize(("name", "options"), TRIES, ids=[f"{name}-{options}" for name, options in TRIES])
def test_a_method_agrees_with_its_oracle_on_a_thousand_groups(name: str, options: dict[str, Any]) -> None:
    close(rewards(name, options, RUN, ORACLES[name].columns), ORACLES[name].rule(RUN, **options))


lengths = st.one_of(st.integers(0, 3), st.sampled_from(EDGES), st.integers(0, LONGEST))
rows = st.builds(
    Row,
    prompt=st.just(0),
    length=lengths,
    correct=st.booleans(),
    well_formed=st.sampled_from([True, True, False]),
    repetitive=st.booleans(),
    truncated=st.booleans(),
    columns=st.fixed_dictionaries({"uses_thinking": st.sampled_from([1.0, 0.0])}),
)
prompts = st.fixed_dictionaries(
    {
        "budget": st.just(1500.0),
        "reference_accuracy": st.sampled_from([0.5, 0.0, 1.0]),
        "reference_length": st.sampled_from([1500.0, 1.0]),
    }
)


@st.composite
def small_runs(draw: Callable[..., Any]) -> list[Batch]:
    """One or two batches of up to three groups; a prompt comes back in the second, of the same source."""
    run, sources = [], draw(st.permutations(SOURCES))
    for step in (0, draw(st.integers(0, 20))):
        drawn = draw(st.lists(st.tuples(prompts, st.lists(rows, min_size=1, max_size=6)), max_size=3))
        groups = [
            [replace(row, prompt=f"p{number}", columns={**row.columns, **of_prompt, **source}) for row in group]
            for number, (of_prompt, group) in enumerate(drawn)
            for source in [{"data_source": sources[number]}]
        ]
        run.append(Batch(groups, step))
    return run


@given(run=small_runs(), chosen=st.sampled_from(TRIES))
def test_the_smallest_runs_on_which_a_method_and_its_oracle_differ(
    run: list[Batch], chosen: tuple[str, dict[str, Any]]
) -> None:
    name, options = chosen
    close(rewards(name, options, run, ORACLES[name].columns), ORACLES[name].rule(run, **options))


@pytest.mark.parametrize("options", ORACLES["hbpo"].options)
def test_hbpo_agrees_with_its_oracle_where_responses_have_no_budget(options: dict[str, Any]) -> None:
    run = [
        replace(batch, groups=[[replace(row, columns={}) for row in group] for group in batch.groups]) for batch in RUN
    ]
    close(rewards("hbpo", options, run), ORACLES["hbpo"].rule(run, **options))
