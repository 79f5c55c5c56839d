"""What a method of a user does wrong is an error that names the method and the group, never a reward."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from laser_verl.core import Context, MethodBase, Rollouts, Shaped, build, guarded
from laser_verl.core.bands import NO_BAND

# Three groups: a has 2 rows, b has 2, c has 1.
ROLLOUTS = Rollouts.build(["a", "a", "b", "b", "c"], [10, 20, 30, 40, 50], [1, 0, 1, 1, 0])


def rewards(rollouts: Rollouts, **changed: Any) -> Shaped:
    return Shaped(**{"task_reward": np.ones(rollouts.size), "length_reward": np.zeros(rollouts.size), **changed})


@dataclass(kw_only=True, eq=False)
class Users(MethodBase):
    """A method that does what a test says."""

    rule: Callable[[Rollouts], Any]
    learn: Callable[[Rollouts], None] = lambda rollouts: None
    seen: list[int] = field(default_factory=list)
    extra: Any = None

    name = "users_own"

    def observe(self, rollouts: Rollouts) -> None:
        self.seen.append(rollouts.size)
        self.learn(rollouts)

    def shape(self, rollouts: Rollouts) -> Shaped:
        return self.rule(rollouts)


def stopped(rule: Callable[[Rollouts], Any], rollouts: Rollouts = ROLLOUTS, **more: Any) -> RuntimeError:
    with pytest.raises(RuntimeError) as caught:
        guarded.shape(Users(rule=rule, **more), rollouts)
    assert str(caught.value).startswith("laser_verl: method users_own fails on ")
    return caught.value


def test_a_good_method_is_observed_once_then_shaped() -> None:
    method = Users(rule=rewards)
    assert guarded.shape(method, ROLLOUTS).reward.tolist() == [1.0] * 5
    assert method.seen == [5]


def test_an_adaptive_method_gives_what_it_gives_unguarded() -> None:
    context = Context(group_size=2, max_response_length=64)
    options = {"lower_bound": 8, "interval": 4}
    plain, watched = build("laser_d", options, context), build("laser_d", options, context)
    plain.observe(ROLLOUTS)
    expected, got = plain.shape(ROLLOUTS), guarded.shape(watched, ROLLOUTS)
    assert got.reward.tolist() == expected.reward.tolist()
    assert watched.metrics() == plain.metrics()


def test_an_empty_batch_is_fine() -> None:
    assert guarded.shape(build("kimi"), Rollouts.build([], [], [])).reward.tolist() == []


def test_the_first_group_that_breaks_the_method_alone_is_named_with_the_cause() -> None:
    def divides(rollouts: Rollouts) -> Shaped:
        for length in rollouts.length.tolist():
            1 / (length - 40)
        return rewards(rollouts)

    error = stopped(divides)
    assert str(error).endswith("fails on the group 'b': ZeroDivisionError: division by zero")
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_names_can_be_given() -> None:
    def refuses(rollouts: Rollouts) -> Shaped:
        raise ValueError("no")

    with pytest.raises(RuntimeError, match="fails on the group '0f3a': no"):
        guarded.shape(Users(rule=refuses), ROLLOUTS, lambda: ["0f3a", "1", "2"])


def test_an_error_in_observe_names_the_group_too_and_the_search_leaves_the_method_alone() -> None:
    method = Users(rule=rewards, learn=lambda rollouts: {10: 0, 20: 0, 30: 0, 40: 0}[int(rollouts.length[-1])])
    with pytest.raises(RuntimeError, match="the group 'c': KeyError: 50"):
        guarded.shape(method, ROLLOUTS)
    assert method.seen == [5]


def test_what_no_group_does_by_itself_is_said_of_the_batch() -> None:
    def too_many(rollouts: Rollouts) -> Shaped:
        if rollouts.num_groups > 2:
            raise OverflowError("too many prompts")
        return rewards(rollouts)

    told = "fails on the batch as a whole, on no group of it by itself: OverflowError: too many prompts"
    assert str(stopped(too_many)).endswith(told)


def test_another_error_of_a_group_without_its_batch_is_not_taken_for_the_cause() -> None:
    def needs_siblings(rollouts: Rollouts) -> Shaped:
        if rollouts.num_groups == 1 and rollouts.length[0] < 30:
            raise IndexError("one group has no neighbour")
        raise TypeError("the real one")

    assert str(stopped(needs_siblings)).endswith("the group 'b': TypeError: the real one")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"length_reward": np.array([0, 0, 0, np.nan, 0])}, "'b': length_reward[1]=nan must be a finite number"),
        ({"task_reward": np.array([0, 0, 0, 0, np.inf])}, "'c': task_reward[0]=inf must be a finite number"),
        (
            {"target_length": np.array([np.nan, 1, -np.inf, 1, 1])},
            "'b': target_length[0]=-inf must be a finite number,",
        ),
        ({"band": np.array([0, 1, 2, 3, 0])}, "'b': band holds another number than EASY, MEDIUM, HARD and NO_BAND"),
        (
            {"length_reward": np.array([0, 0, 3e38, 0, 0]), "task_reward": np.array([0, 0, 1e38, 0, 0])},
            "'b': task_reward[0] + length_reward[0]=4e+38 must be at most 3.4e+38 in size, the largest number of the",
        ),
        ({"task_reward": np.array([0, 0, 0, -1e39, 0])}, "'b': task_reward[1] + length_reward[1]=-1e+39 must be at"),
        ({"task_reward": np.array(["1.0"] * 5)}, "'a': task_reward is an array of <U3; return a numpy array with"),
        ({"length_reward": np.array([True] * 5)}, "'a': length_reward is an array of bool"),
    ],
)
def test_bad_numbers_name_their_group_and_rule(changed: dict[str, np.ndarray], told: str) -> None:
    place = {length: row for row, length in enumerate(ROLLOUTS.length.tolist())}

    def returns(rollouts: Rollouts) -> Shaped:
        rows = [place[length] for length in rollouts.length.tolist()]
        return rewards(rollouts, **{name: values[rows] for name, values in changed.items()})

    assert f"fails on the group {told}" in str(stopped(returns))


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (None, "shape returned a NoneType; return a Shaped(task_reward, length_reward)"),
        (np.zeros(2), "shape returned a ndarray; return a Shaped"),
        (Shaped(0.0, np.zeros(2)), "task_reward is a float; return a numpy array with one number per response"),
        (Shaped(np.zeros(2), [0.0, 0.0]), "length_reward is a list"),
        (Shaped(np.zeros(2), np.zeros(1)), "length_reward has shape (1,), the batch has 2 responses"),
        (Shaped(np.zeros((2, 1)), np.zeros(2)), "task_reward has shape (2, 1)"),
        (Shaped(np.zeros(2), np.zeros(2), band=np.zeros(3, np.int8)), "band has shape (3,)"),
        (Shaped(np.zeros(2), np.zeros(2), target_length=np.zeros(0)), "target_length has shape (0,)"),
    ],
)
def test_what_is_no_answer_is_refused(returned: Any, told: str) -> None:
    with pytest.raises(ValueError, match="return") as caught:
        guarded.checked(returned, 2)
    assert str(caught.value).startswith(told)


def test_whole_numbers_and_targets_that_are_missing_are_fine() -> None:
    target = np.array([np.nan, 4.0])
    for band in ([0, 2], [NO_BAND, 1]):
        shaped = Shaped(np.array([1, 0]), np.zeros(2), band=np.array(band), target_length=target)
        assert guarded.checked(shaped, 2) is shaped


def test_large_rewards_that_verl_can_hold_are_fine() -> None:
    # the largest float32 is about 3.403e38; the second sum is 0
    shaped = Shaped(np.array([-3.4e38, 1e300]), np.array([0.0, -1e300]))
    assert guarded.checked(shaped, 2) is shaped


def test_a_method_that_cannot_be_copied_is_not_blamed_on_a_group() -> None:
    def locks(rollouts: Rollouts) -> Shaped:
        raise TypeError("the real one")

    error = stopped(locks, extra=threading.Lock())
    assert str(error).endswith(
        "fails on the batch, of which group cannot be told, since the method cannot be copied: TypeError: the real one"
    )


def test_a_call_that_fails_names_method_and_call() -> None:
    def call(error: Exception) -> None:
        with guarded.naming(Users(rule=rewards), "metrics"):
            raise error

    with pytest.raises(ValueError, match=r"^laser_verl: method users_own, metrics: KeyError: 'x'$") as caught:
        call(KeyError("x"))
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(ValueError, match=r"^laser_verl: method users_own, metrics: no number$"):
        call(ValueError("no number"))


def test_bad_input_of_a_published_method_still_reads_well() -> None:
    rollouts = Rollouts.build(["a", "b", "b"], [10, 20, 30], [1, 1, 1], columns={"budget": [5, 6, -7]})
    with pytest.raises(RuntimeError) as caught:
        guarded.shape(build("l1_max"), rollouts)
    assert str(caught.value) == (
        "laser_verl: method l1_max fails on the group 'b': budget[1]=-7.0 must be a number of 0 or more; check that row"
    )
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_missing_column_is_said_of_the_first_group() -> None:
    with pytest.raises(RuntimeError, match="l1_max fails on the group 'a': the batch has no column budget; give"):
        guarded.shape(build("l1_max"), ROLLOUTS)


def test_a_stop_from_the_keyboard_is_not_held_up() -> None:
    def stops(rollouts: Rollouts) -> Shaped:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guarded.shape(Users(rule=stops), ROLLOUTS)


def test_the_good_case_costs_next_to_nothing() -> None:
    size = 1_000_000
    rollouts = Rollouts.build(np.arange(size) // 8, np.arange(size) % 4096, np.zeros(size, dtype=bool))
    shaped = rewards(rollouts, target_length=np.full(size, np.nan))
    begun = time.process_time()
    guarded.shape(Users(rule=lambda _: shaped), rollouts)
    assert time.process_time() - begun < 0.25
