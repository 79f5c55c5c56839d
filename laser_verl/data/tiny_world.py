r"""A miniature world in which long thoughts are wasted on easy problems and pay on hard ones.

A problem is a permutation of letters and a target; the question is which letter reaches the target in two hops.

    question   ``AcBaCdDb>d`` (a goes to c, b to a, c to d, d to b; what reaches d?)
    response   ``<think>bac,acd!wait acd!</think>\boxed{a}``

The thought tries letters one after another. A trial is a guess, its first hop, its second hop and a verdict: ``,`` for
a miss, ``!`` for a hit. The answer is the guess of the last trial. After a hit the check can be redone (``wait ``) for
nothing. So redone checks are a waste whatever the difficulty, while trials are needed, and more of them the more
letters there are. Two hops backwards are beyond a single pass of a two-layer model, hence the search. There is always
exactly one answer, because a permutation followed by itself is a permutation.

`write_model` copies a small base model that knows this form of thinking but is wasteful and impatient; how it was made
is in `laser_verl.data.make_tiny_base`. This module itself needs only the standard library to be imported.
"""

from __future__ import annotations

import itertools
import math
import random
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIFFICULTIES = ("easy", "medium", "hard")

# Numbers of letters. Easy stops at 5 because 3 and 4 letters have 114 distinct problems between them, too few for
# training and held-out problems to be disjoint.
NUM_LETTERS = {"easy": (5, 6), "medium": (8, 9), "hard": (13, 14, 15, 16)}
LETTERS = "abcdefghijklmnop"

# Habits of the supervised traces, and so of the base model.
GIVE_UP_FRAC = 0.1
REDO_FRAC = 0.86
MAX_REDONE = 14

# Room for a response of the base model: a search through 16 letters with all its redone checks is 140 tokens.
MAX_RESPONSE_TOKENS = 160

_WELL_FORMED = re.compile(r"<think>[^<>\\]*</think>\\boxed\{([a-z])\}")


@dataclass(frozen=True)
class Problem:
    """A permutation and a target.

    Attributes:
        images: Letter number i goes to letter number `images[i]`.
        target: Number of the letter to be reached in two hops.
        difficulty: One of `DIFFICULTIES`.
    """

    images: tuple[int, ...]
    target: int
    difficulty: str

    @property
    def question(self) -> str:
        """Text of the user message: every letter (upper case) with its image (lower case), ``>``, the target."""
        pairs = "".join(LETTERS[i].upper() + LETTERS[image] for i, image in enumerate(self.images))
        return f"{pairs}>{LETTERS[self.target]}"

    @property
    def answer(self) -> str:
        """The letter that reaches the target in two hops."""
        return LETTERS[self.images.index(self.images.index(self.target))]

    def trial(self, guess: int) -> str:
        """The text of a trial: the guess, its two hops and the verdict, for example ``bac,``."""
        hops = (guess, self.images[guess], self.images[self.images[guess]])
        return "".join(LETTERS[letter] for letter in hops) + ("!" if hops[-1] == self.target else ",")


def num_problems(difficulty: str) -> int:
    """How many distinct problems a difficulty has: n! permutations of n letters, each with n targets."""
    return sum(math.factorial(n) * n for n in NUM_LETTERS[difficulty])


def make_problems(num_per_difficulty: int, seed: int, exclude: Iterable[Problem] = ()) -> list[Problem]:
    """Draw problems: easy, medium, hard, easy, medium, hard, ...

    The problems are distinct, none of them is in `exclude`, and the same arguments give the same list. Numbers of
    letters are equally likely within a difficulty for as long as they have problems left. Easy problems are the scarce
    kind: there are 4,920, of which 600 have five letters, so the splits can hold 4,920 easy problems between them, and
    up to 1,000 or so between them keep both numbers of letters equally likely.

    Args:
        num_per_difficulty: Number of problems of each difficulty, at least 0.
        seed: Seed of the draw.
        exclude: Problems not to draw, for example those held out for evaluation.

    Returns:
        `3 * num_per_difficulty` problems.

    Raises:
        ValueError: If a difficulty does not have that many problems left.
    """
    seen = set(exclude)
    for difficulty in DIFFICULTIES:
        left = num_problems(difficulty) - sum(problem.difficulty == difficulty for problem in seen)
        if not 0 <= num_per_difficulty <= left:
            raise ValueError(
                f"num_per_difficulty={num_per_difficulty} is out of range: {left} {difficulty} problems are left; "
                f"give a number from 0 to {left}, or exclude fewer problems"
            )
    rng = random.Random(seed)
    problems = []
    for _ in range(num_per_difficulty):
        for difficulty in DIFFICULTIES:
            problem = draw(difficulty, rng)
            while problem in seen:
                problem = draw(difficulty, rng)
            seen.add(problem)
            problems.append(problem)
    return problems


def draw(difficulty: str, rng: random.Random) -> Problem:
    """Draw one problem of a difficulty, without regard to what was drawn before."""
    num_letters = rng.choice(NUM_LETTERS[difficulty])
    images = tuple(rng.sample(range(num_letters), num_letters))
    return Problem(images, rng.randrange(num_letters), difficulty)


def trace(problem: Problem, rng: random.Random) -> str:
    r"""A supervised response, without the end-of-text token.

    Guesses come in random order without repeats. After a miss the search is given up, and the miss answered, with
    probability `GIVE_UP_FRAC`. After the hit the check is redone again and again with probability `REDO_FRAC`, at
    most `MAX_REDONE` times.

    Args:
        problem: The problem to think about.
        rng: Source of the guesses and of the two habits.

    Returns:
        For example ``<think>bac,acd!wait acd!</think>\boxed{a}``.
    """
    trials: list[str] = []
    for guess in rng.sample(range(len(problem.images)), len(problem.images)):
        trials.append(problem.trial(guess))
        if trials[-1].endswith("!"):
            again = [f"wait {trials[-1]}"] * MAX_REDONE
            trials += itertools.takewhile(lambda _: rng.random() < REDO_FRAC, again)
            break
        if rng.random() < GIVE_UP_FRAC:
            break
    return f"<think>{''.join(trials)}</think>\\boxed{{{LETTERS[guess]}}}"


def given_answer(response: str) -> str | None:
    """The boxed letter of a response, or None where the response is malformed or cut off.

    Args:
        response: Text of the response without special tokens.

    Returns:
        The letter, to be compared with `Problem.answer`.
    """
    match = _WELL_FORMED.fullmatch(response)
    return match[1] if match else None


def to_rows(problems: Sequence[Problem], split: str) -> list[dict[str, Any]]:
    """The problems as rows of a verl data set.

    Args:
        problems: The problems, in the order of the rows.
        split: Name of the split, kept in `extra_info`.

    Returns:
        One row per problem; `data_source` is ``tiny_world/`` and the difficulty, so verl reports each on its own.
    """
    return [
        {
            "data_source": f"tiny_world/{problem.difficulty}",
            "prompt": [{"role": "user", "content": problem.question}],
            "ability": "search",
            "reward_model": {"style": "rule", "ground_truth": problem.answer},
            "extra_info": {"index": index, "split": split, "difficulty": problem.difficulty},
        }
        for index, problem in enumerate(problems)
    ]


def write_parquet(rows: Sequence[dict[str, Any]], path: str | Path) -> Path:
    """Write rows to a parquet file, whole or not at all, making its folder where needed, and return the path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    pq.write_table(pa.Table.from_pylist(list(rows)), scratch)
    return scratch.replace(path)


def base_path() -> Path:
    """The folder of the base model that ships with the package."""
    return Path(__file__).with_name("tiny_base")


def write_model(folder: str | Path) -> Path:
    """Copy the base model, in Hugging Face form with its tokenizer, into a folder and return the folder."""
    return Path(shutil.copytree(base_path(), folder, dirs_exist_ok=True))
