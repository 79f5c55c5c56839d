"""Degenerate loops are found, text that merely repeats itself is not."""

import random
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from laser_verl.scoring.loops import is_repetitive, word_ids
from tests.data.loops import corpus

PROSE = list(range(1000, 1300))
OTHER = list(range(5000, 9000))


def test_recall_on_synthetic_loops() -> None:
    loops = list(corpus.loops())
    assert len(loops) == 1200
    assert {loop.period for loop in loops} >= {1, 2, 499, 500}
    missed = Counter(loop.edits for loop in loops if not is_repetitive(loop.ids))
    assert missed.total() <= 0.02 * len(loops), missed
    assert missed[0.0] <= 0.005 * len(loops), missed


def test_false_positives_on_ordinary_text() -> None:
    chunks = list(corpus.ordinary())
    assert len(chunks) == 5400
    flagged = Counter((kind, split) for kind, split, ids in chunks if is_repetitive(ids))
    assert flagged.total() <= 0.001 * len(chunks), flagged
    # Python's help differs a little between its versions
    assert sum(number for (kind, _), number in flagged.items() if kind == "prose") <= 1, flagged


@pytest.mark.parametrize("period", [1, 2, 3, 5, 7, 16, 17, 64, 100, 250, 500])
def test_exact_loops_of_every_period_are_found(period: int) -> None:
    copies = max(4, -(-64 // period))  # enough for both limits: 4 copies, 64 tokens
    assert is_repetitive(PROSE + list(range(period)) * copies)
    assert not is_repetitive(PROSE + list(range(period)) * 3)


def test_limits_of_exact_loops() -> None:
    assert is_repetitive([1, 2, 3, 4, 5] * 13)  # 65 tokens
    assert not is_repetitive([9, 8, 7] + [1, 2, 3, 4, 5] * 12)  # 60 tokens
    assert is_repetitive([7] * 64)
    assert not is_repetitive([7] * 63)
    assert is_repetitive([9, *(list(range(16)) * 4)])
    assert not is_repetitive([9, *range(1, 16), *(list(range(16)) * 3)])  # one token short of 4 copies


def test_two_closing_tokens_do_not_matter() -> None:
    loop = PROSE + list(range(16)) * 4
    assert is_repetitive([*loop, 0, 1, 2])  # the last copy is cut
    assert is_repetitive([*loop, 2, 70])
    assert not is_repetitive([*loop, 2, 70, 71])
    assert is_repetitive([*loop, *range(16), *range(16), *range(16), *range(16), *range(12), 70, 71, 72])  # 140 tokens


def test_a_loop_counts_while_it_is_longer_than_what_follows() -> None:
    loop = [1, 2, 3] * 100
    assert is_repetitive(PROSE + loop + OTHER[:290])
    assert not is_repetitive(PROSE + loop + OTHER[:310])
    assert not is_repetitive([1, 2, 3] * 40 + OTHER[:60])  # 120 tokens: only at the very end


def test_three_and_a_half_copies_of_a_longer_block() -> None:
    copies = PROSE + list(range(100)) * 3
    assert is_repetitive([*copies, *range(51), *OTHER[:90]])
    assert not is_repetitive([*copies, *range(48), *OTHER[:90]])


def test_a_repetitive_beginning_does_not_hide_a_loop() -> None:
    counted = [token for n in range(200) for token in (*range(30), 2000 + n)]
    assert is_repetitive(counted + list(range(400, 437)) * 6)


EDITS: dict[str, Callable[[int, int], list[int]]] = {
    "substituted": lambda at, _: [9000 + at],
    "inserted": lambda at, token: [token, 9000 + at],
    "deleted": lambda _, __: [],
    "doubled": lambda _, token: [token, token],
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("period", [1, 4, 23, 61, 190])
def test_edited_loops_are_found(edit: str, period: int) -> None:
    loop = (list(range(period)) * 400)[: max(400, 6 * period)]
    draw = random.Random(period)
    edited = [new for at, t in enumerate(loop) for new in (EDITS[edit](at, t) if draw.random() < 0.02 else [t])]
    assert is_repetitive(PROSE + edited)
    assert is_repetitive(PROSE + edited + OTHER[:200])


@pytest.mark.parametrize(
    "block",
    [
        [*range(40), *range(40), *range(50, 70)],
        [*([0] * 90), *range(1, 11)],
        [0, 1] * 30 + [0, 2] * 30,
        [*range(12), 50, *range(12), 51, *range(12), 52],
    ],
    ids=["A A B", "zeros", "alternating", "template"],
)
def test_blocks_that_repeat_inside_are_found(block: list[int]) -> None:
    assert is_repetitive(PROSE + block * 6)
    assert is_repetitive(PROSE + block * 6 + OTHER[:200])
    assert not is_repetitive(PROSE + block + OTHER[:200])


def test_a_long_insertion_is_no_edit() -> None:
    def loop(gap: int) -> list[int]:
        """Five copies of 300 tokens; a gap of new ones in three of them, each elsewhere."""
        ids = list(range(300)) * 5
        for number, place in enumerate((420, 950, 1480)):
            ids[place:place] = OTHER[100 * number :][:gap]
        return ids

    assert is_repetitive(loop(15) + OTHER[-50:])
    assert not is_repetitive(loop(25) + OTHER[-50:])


def test_two_blocks_that_take_turns_are_no_loop() -> None:
    turns = [[number % 2] * length for number, length in enumerate((90, 130, 80, 100, 120, 95))]
    assert not is_repetitive([token for turn in turns for token in (*turn, 2)] + OTHER[:10])


@pytest.mark.parametrize(("num_edits", "looping"), [(50, True), (130, False)])
def test_edits_are_few(num_edits: int, looping: bool) -> None:
    places = random.Random(0).sample(range(1000), num_edits)
    assert is_repetitive([3000 + place if place in places else 5 for place in range(1000)]) == looping


def test_rows_before_a_loop_of_rows_do_not_count_as_its_copies() -> None:
    def row(number: int) -> list[int]:
        return [*range(10), 100 + number, 200 + number]

    draw = random.Random(0)
    before = [token for _ in range(64) for token in row(draw.randint(20, 90))]
    loop = [token for number in range(16) for token in row(number)] * 4
    assert not is_repetitive(before)
    assert is_repetitive(before + loop + OTHER[:100])


def enumeration(shape: str, count: int = 40) -> str:
    return "\n".join(
        shape.format(n=n, r=n % 5, s=n * n, t="yes" if n % 3 else "no", u=n // 3, v=n % 3) for n in range(3, 3 + count)
    )


TEXTS = {
    "cases": enumeration("Case n = {n}: {n} mod 5 = {r}, no."),
    "long template": enumeration(
        "Suppose that x = {n}. Then the left side is {s}, and since the right side of the equation stays at zero "
        "for every choice of the other unknown, this candidate can not be a solution, so we go on to the next one."
    ),
    "numbered list": enumeration("{n} . Case x = {n} : then the sum is {s} , which is not prime ."),
    "two loops in one": enumeration("For i = {u} and j = {v} the product of the two is small enough, so it counts."),
    "zero-padded numbers": enumeration("{n:06d}", 400),
    "table": "| n | n^2 | ok |\n|---|---|---|\n" + enumeration("| {n} | {s} | {t} |", 200),
    "separators": "Here is the table.\n" + "|" + "---|" * 12 + "\n" + "| a | b | c |" * 3,
    "list markers": "\n".join(f"- {word}" for word in "abcdefghijklmnopqrstuvwxyz" * 3),
    "products": enumeration("2 * {n} = {n} + {n}, so far so good, and the sum of both sides is the same again.", 60),
    "restated": (text := "Find the number of ways to place 8 rooks so that none attacks another one. " * 1)
    + " ".join(f"{text} First idea: {word} " + word * 3 for word in ("count", "sort", "split")),
    "decimals": "1/7 = 0." + "142857" * 8,
    "hesitation": "Wait, let me check that again. So 3 + 4 = 7. " * 3 + "Yes. So the answer is 7.",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("split", corpus.SPLITS)
def test_repetition_with_a_reason_is_no_loop(name: str, split: str) -> None:
    assert not is_repetitive(corpus.SPLITS[split](TEXTS[name]))


@pytest.mark.parametrize("size", [64, 128, 300, 1000, 16_000])
def test_two_token_alphabets_are_no_loops(size: int) -> None:
    for seed in range(20):
        assert not is_repetitive(np.random.default_rng(seed).integers(0, 2, size))


# Shapes of golden case `laser-de/repetition-detector`, on which the official detector is inconsistent.
@pytest.mark.parametrize(
    ("ids", "looping"),
    [
        (list(range(300)), False),
        ([*range(100), *([7, 8, 9, 10, 11] * 40)], True),
        ([*range(400), 0, 1, 2, 3, *range(400, 800)], False),
        (list(range(100)) + [5] * 200, True),
        ([*range(8), *range(20, 412), *range(8)], False),
        ([1, 2] * 4, False),
        ([1, 2, 3] * 3, False),
        ([], False),
        ([1], False),
    ],
)
def test_defined_on_every_shape(ids: list[int], looping: bool) -> None:
    assert is_repetitive(ids) == looping
    assert is_repetitive(np.array(ids, dtype=np.int64)) == looping
    assert is_repetitive(np.array(ids, dtype=np.uint16)) == looping
    assert is_repetitive(tuple(ids)) == looping


@pytest.mark.parametrize("scale", [-1, 2**31, -(2**63), 2**64 - 1, 10**40])
def test_any_integers_will_do(scale: int) -> None:
    assert is_repetitive([scale * token for token in [1, 0, 1, 1, 0] * 30])
    assert not is_repetitive([scale * token for token in PROSE])
    assert is_repetitive([-1, scale, 2**63] * 50)


def test_words_stand_in_for_tokens() -> None:
    assert word_ids("a b a") == [0, 1, 0]
    assert word_ids("x_1, (x_1)!\n") == [0, 1, 2, 0, 3, 4, 5]
    assert word_ids("a!!!b!!") == [0, 1, 2, 3, 1]
    assert word_ids("我们我") == [0, 1, 0]
    assert word_ids("ha" * 10) == [0]
    assert word_ids("ha" * 11) == [0, 1] * 11
    assert is_repetitive(word_ids("wait , no . " * 20))


WORDLESS = {
    "signs": "!" * 200,
    "blank lines": "\n\n" * 60,
    "boxes": "\\boxed{7}\n\n" * 40,
    "no spaces": "wait,no." * 20,
    "one long word": "hahaha" * 40,
    "digits": "142857" * 20,
    "Chinese": "让我再检查一遍。" * 20,
    "Japanese": "もう一度確認します。" * 20,
}


@pytest.mark.parametrize("name", WORDLESS)
def test_loops_without_spaces_are_found(name: str) -> None:
    assert is_repetitive(word_ids(f"So the answer is 7.\n{WORDLESS[name]}"))


@pytest.mark.parametrize("name", WORDLESS)
def test_loops_without_spaces_are_found_behind_ordinary_text(name: str) -> None:
    prose = " ".join(f"word{n}," for n in range(300))
    assert word_ids(prose) == list(range(300))  # split at white space alone
    assert is_repetitive(word_ids(f"{prose}\n{WORDLESS[name] * 12}"))
    assert not is_repetitive(word_ids(f"{prose}\n{WORDLESS[name]} {prose}"))


ORDINARY = {
    "Chinese": "我们先计算第一项、再计算第二项、最后把两个结果相加得到答案。因此所求的值等于七。" * 2,
    "a rule": "So the sum is 7.\n" + "-" * 100,
    "ruled lines": ("So the sum is 7.\n" + ("+" + "-" * 60 + "\n| 7 |\n") * 3),
    "lines": "\n\n".join(f"Step {n}: the sum is now {n * n + 1}." for n in range(60)),
    "a long number": "So 3^200 = " + str(3**200),
    "code": "\n".join(f"    x_{n} = f(x_{n - 1})" for n in range(1, 60)),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_text_without_spaces_is_no_loop(name: str) -> None:
    assert not is_repetitive(word_ids(ORDINARY[name]))


@pytest.mark.parametrize("text", ["!", "word ", "\n", "a", "字", " ", "ab" * 9 + "a-"])
def test_a_million_characters_are_split_in_a_moment(text: str) -> None:
    begun = time.process_time()  # whatever else the machine does
    word_ids(text * (1_000_000 // len(text)))
    assert time.process_time() - begun < 1.0  # a tenth of that, where nothing is quadratic


@pytest.mark.parametrize("kind", ["random", "one token", "two tokens", "thue-morse", "almost a loop", "enumeration"])
def test_a_million_tokens_take_milliseconds(kind: str) -> None:
    n = 1_000_000
    place = np.arange(n)
    ids = {
        "random": np.random.default_rng(0).integers(0, 50_000, n),
        "one token": np.zeros(n, np.int64),
        "two tokens": np.random.default_rng(0).integers(0, 2, n),
        # The sequence that defeats polynomial hashes modulo 2^64.
        "thue-morse": np.bitwise_count(place) % 2,
        "almost a loop": np.concatenate([np.zeros(n // 2, np.int64), place[: n // 2]]),
        "enumeration": np.where(place % 40 == 0, place, place % 40),
    }[kind]
    begun = time.process_time()
    assert is_repetitive(ids) == (kind == "one token") or kind == "thue-morse"  # close to a loop here and there
    assert time.process_time() - begun < 0.5  # a tenth of that on an idle core
