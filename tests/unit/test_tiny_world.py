"""The miniature world: problems, traces, rows and the base model that ships with the package."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest

from laser_verl.data import tiny_world
from laser_verl.data.tiny_world import DIFFICULTIES, LETTERS, Problem, make_problems

# a goes to c, b to a, c to d, d to b. Two hops: a to d, b to c, c to b, d to a.
FOUR = (2, 0, 3, 1)


class ScriptedRandom(random.Random):
    """Guesses letters in a given order and rolls given numbers."""

    def __init__(self, guesses: str, rolls: Sequence[float]):
        super().__init__(0)
        self.guesses = [LETTERS.index(letter) for letter in guesses]
        self.rolls = list(rolls)

    def sample(self, population, k, *, counts=None):
        return self.guesses

    def random(self):
        return self.rolls.pop(0)


@pytest.mark.parametrize(("target", "answer"), [("d", "a"), ("c", "b"), ("b", "c"), ("a", "d")])
def test_question_and_answer(target, answer):
    problem = Problem(FOUR, LETTERS.index(target), "easy")
    assert problem.question == f"AcBaCdDb>{target}"
    assert problem.answer == answer


# After a miss the search ends below 0.1; after a hit the check is redone below 0.86.
@pytest.mark.parametrize(
    ("guesses", "rolls", "response"),
    [
        pytest.param("ab", [0.86], r"<think>acd!</think>\boxed{a}", id="hit-at-once"),
        pytest.param("ba", [0.5, 0.85, 0.86], r"<think>bac,acd!wait acd!</think>\boxed{a}", id="miss-then-redo"),
        pytest.param("ba", [0.09], r"<think>bac,</think>\boxed{b}", id="gives-up-after-one-miss"),
        pytest.param("bca", [0.1, 0.09], r"<think>bac,cdb,</think>\boxed{c}", id="gives-up-after-two"),
        pytest.param("bcda", [0.1, 0.1, 0.1, 0.9], r"<think>bac,cdb,dba,acd!</think>\boxed{a}", id="persists"),
        pytest.param("ab", [0.0] * 14, rf"<think>acd!{'wait acd!' * 14}</think>\boxed{{a}}", id="redoes-14-times"),
    ],
)
def test_trace(guesses, rolls, response):
    rng = ScriptedRandom(guesses, rolls)
    assert tiny_world.trace(Problem(FOUR, 3, "easy"), rng) == response
    assert rng.rolls == []


def test_traces_answer_right_exactly_when_they_end_with_a_hit():
    rng = random.Random(0)
    for problem in make_problems(50, seed=0):
        response = tiny_world.trace(problem, rng)
        is_hit = "!</think>" in response
        assert (tiny_world.given_answer(response) == problem.answer) == is_hit


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"<think>acd!</think>\boxed{a}", "a"),
        (r"<think></think>\boxed{a}", "a"),
        (r"<think>acd!</think>\boxed{a} ", None),
        (r"<think>acd!</think>\boxed{ab}", None),
        (r"<think>acd!\boxed{a}", None),
        (r"<think>acd!</think>a", None),
        (r"acd!</think>\boxed{a}", None),
        (r"<think><think>acd!</think>\boxed{a}", None),
        ("", None),
    ],
)
def test_given_answer(response, answer):
    assert tiny_world.given_answer(response) == answer


def test_problems_are_interleaved_distinct_and_of_their_size():
    problems = make_problems(200, seed=3)
    assert [problem.difficulty for problem in problems] == list(DIFFICULTIES) * 200
    assert len(set(problems)) == 600
    for problem in problems:
        assert sorted(problem.images) == list(range(len(problem.images)))
        assert problem.target in problem.images
    sizes = {d: {len(p.images) for p in problems if p.difficulty == d} for d in DIFFICULTIES}
    assert sizes == {"easy": {5, 6}, "medium": {8, 9}, "hard": {13, 14, 15, 16}}


def test_problems_depend_on_the_seed_alone():
    assert make_problems(20, seed=1) == make_problems(20, seed=1)
    assert make_problems(20, seed=1) != make_problems(20, seed=2)
    assert make_problems(0, seed=1) == []


def test_excluded_problems_are_not_drawn():
    held_out = make_problems(200, seed=0)
    train = make_problems(500, seed=1, exclude=held_out)
    assert len(train) == 1500
    assert not set(train) & set(held_out)


def test_easy_problems_can_run_out():
    # 5! 5 = 600 with five letters and 6! 6 = 4320 with six
    assert tiny_world.num_problems("easy") == 4920
    with pytest.raises(ValueError, match="num_per_difficulty=4912 is out of range: 4911 easy problems are left"):
        make_problems(4912, seed=0, exclude=make_problems(9, seed=1))
    with pytest.raises(ValueError, match="num_per_difficulty=-1 is out of range"):
        make_problems(-1, seed=0)


def test_rows_are_verl_rows(tmp_path):
    import pyarrow.parquet as pq

    rows = tiny_world.to_rows([Problem(FOUR, 3, "easy"), Problem(FOUR, 0, "hard")], split="test")
    assert rows[1] == {
        "data_source": "tiny_world/hard",
        "prompt": [{"role": "user", "content": "AcBaCdDb>a"}],
        "ability": "search",
        "reward_model": {"style": "rule", "ground_truth": "d"},
        "extra_info": {"index": 1, "split": "test", "difficulty": "hard"},
    }
    path = tiny_world.write_parquet(rows, tmp_path / "new" / "test.parquet")
    assert pq.read_table(path).to_pylist() == rows


def test_importing_the_world_needs_no_framework():
    code = (
        "import sys, laser_verl.data.tiny_world;"
        "print(sorted({'pyarrow', 'torch', 'transformers', 'verl'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_base_model_is_small_and_suits_vllm_on_cpu(tmp_path):
    folder = tiny_world.write_model(tmp_path / "model")
    assert {path.name for path in folder.iterdir()} == {path.name for path in tiny_world.base_path().iterdir()}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    assert config["hidden_size"] // config["num_attention_heads"] == 32
    assert config["dtype"] == "float32"
    assert config["tie_word_embeddings"] is True


def test_tokenizer_keeps_the_words_of_the_world():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_world.base_path())
    assert type(tokenizer).__name__.startswith("Qwen2Tokenizer")
    assert len(tokenizer) == json.loads((tiny_world.base_path() / "config.json").read_text())["vocab_size"]
    assert len(tokenizer("\n")["input_ids"]) == 1
    text = r"<think>bac,acd!wait acd!</think>\boxed{a}"
    ids = tokenizer(text + tokenizer.eos_token)["input_ids"]
    # <think>, bac, with 4, acd! with 4, wait, acd! with 4, </think>, \boxed{, a, }, end of text
    assert len(ids) == 1 + 4 + 4 + 1 + 4 + 5
    assert ids[-1] == tokenizer.eos_token_id != tokenizer.pad_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    chat = [{"role": "user", "content": "AcBaCdDb>d"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert prompt == "<|user|>AcBaCdDb>d<|assistant|>"


def test_committed_base_is_of_the_kind_the_recipe_makes():
    from safetensors import safe_open
    from transformers import AutoTokenizer

    from laser_verl.data import make_tiny_base

    made, committed = make_tiny_base.build_tokenizer(), AutoTokenizer.from_pretrained(tiny_world.base_path())
    assert made.get_vocab() == committed.get_vocab()
    assert made.all_special_tokens == committed.all_special_tokens
    assert made.chat_template == committed.chat_template
    with safe_open(tiny_world.base_path() / "model.safetensors", "pt") as weights:
        shapes = {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118
    tensors = make_tiny_base.build_model(made).state_dict()
    del tensors["lm_head.weight"]  # tied to the embedding
    assert shapes == {name: list(tensor.shape) for name, tensor in tensors.items()}


def test_lessons_go_from_trials_on_easy_problems_to_traces_on_all():
    from laser_verl.data.make_tiny_base import EOS, Settings, batches, build_tokenizer

    tokenizer = build_tokenizer()
    # one batch each of: trials on easy, trials on easy and medium, trials on all, traces on all
    settings = Settings(num_steps=4, batch_size=40, num_batches_sorted=1, traces_from_frac=0.75)
    settings = replace(settings, medium_from_frac=0.25, hard_from_frac=0.5)
    largest, are_traces = [], []
    for _, (ids, mask) in zip(range(4), batches(tokenizer, settings), strict=False):
        prompts = [tokenizer.decode(row[~keep], skip_special_tokens=True) for row, keep in zip(ids, mask, strict=True)]
        responses = [tokenizer.decode(row[keep]) for row, keep in zip(ids, mask, strict=True)]
        largest.append(max(len(prompt.split(">")[0]) // 2 for prompt in prompts))
        are_traces.append({response.endswith(EOS) for response in responses})
        assert all(response.startswith("<think>") for response in responses)
    assert largest == [6, 9, 16, 16]
    assert are_traces == [{False}, {False}, {False}, {True}]


def test_trials_are_few_and_one_of_them_is_a_hit():
    from laser_verl.data.make_tiny_base import trials

    rng = ScriptedRandom("bacd", [])
    assert trials(Problem(FOUR, 3, "easy"), rng) == "<think>bac,acd!cdb,dba,"
    rng = random.Random(0)
    for problem in make_problems(20, seed=0):
        text = trials(problem, rng).removeprefix("<think>")
        assert len({text[at] for at in range(0, len(text), 4)}) == len(text) // 4 == min(6, len(problem.images))
        assert text.count("!") == 1
