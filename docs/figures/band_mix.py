"""What band_mix draws while the tracker learns: `python docs/figures/band_mix.py`.

Trains the tiny reasoner on this computer's CPU with laser_d and band_mix, some minutes, and writes band_mix.svg beside
this file, or where `--out` says. `--metrics FILE` draws the metrics that verl's file logger wrote in a run instead.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from laser_verl.data import tiny_world
from laser_verl.quickstart.processes import ProcessTree

ROOT = Path(__file__).resolve().parents[2]
SHARES = {"easy": 0.25, "medium": 0.5, "hard": 0.25}
PROBLEMS, PROMPTS, ROLLOUTS, STEPS = 160, 24, 8, 40
# Okabe and Ito's palette
COLOURS = {"easy": "#56B4E9", "medium": "#E69F00", "hard": "#D55E00", "unseen": "#DDDDDD"}


def arguments(folder: Path) -> list[str]:
    """The training, on problems written to a folder."""
    problems = tiny_world.make_problems(PROBLEMS, seed=21)
    train = tiny_world.write_parquet(tiny_world.to_rows(problems, "train"), folder / "train.parquet")
    shares = ", ".join(f"{band}: {share}" for band, share in SHARES.items())
    return [
        f"--config-path={ROOT / 'configs'}",
        "--config-name=laser_verl",
        *("method=laser_d", "hardware=cpu", "reward.reward_kwargs.lower_bound=8", "reward.reward_kwargs.interval=4"),
        f"+laser.sampler={{policy: band_mix, shares: {{{shares}}}, epsilon: 0}}",
        *("+laser.seeded_rollout=true", "+laser.seed=1", "algorithm.adv_estimator=grpo"),
        *(f"data.train_files={train}", f"data.val_files={train}", f"data.train_batch_size={PROMPTS}"),
        *("data.max_prompt_length=64", "data.max_response_length=96"),
        f"actor_rollout_ref.model.path={tiny_world.write_model(folder / 'model')}",
        *("actor_rollout_ref.actor.optim.lr=1e-6", "actor_rollout_ref.actor.use_kl_loss=false"),
        f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}",
        f"actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu={PROMPTS * ROLLOUTS // 2}",
        f"actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu={PROMPTS * ROLLOUTS // 2}",
        *(f"actor_rollout_ref.rollout.n={ROLLOUTS}", "actor_rollout_ref.rollout.max_model_len=192"),
        *("trainer.val_before_train=false", "trainer.test_freq=-1", "trainer.save_freq=-1"),
        *(f"trainer.total_training_steps={STEPS}", f"trainer.default_local_dir={folder / 'checkpoints'}"),
        f"hydra.run.dir={folder / 'hydra'}",
    ]


def train(folder: Path) -> Path:
    """Run the training; the file of its metrics."""
    metrics = folder / "metrics.jsonl"
    variables = {
        "VERL_PLATFORM": "cpu",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "RAY_ADDRESS": "local",
        "VERL_FILE_LOGGER_PATH": str(metrics),
    }
    command = [sys.executable, "-m", "verl.trainer.main_ppo", *arguments(folder)]
    tree = ProcessTree(command, variables, folder / "log.txt", folder)
    try:
        while tree.poll() is None:
            time.sleep(0.5)
        if tree.poll() != 0:
            sys.exit((folder / "log.txt").read_text(errors="replace")[-4000:])
    finally:
        tree.end()
    return metrics


def read(metrics: Path) -> dict[int, Mapping[str, float]]:
    """Metrics by step."""
    lines = map(json.loads, metrics.read_text().splitlines())
    return {line["step"]: line["data"] for line in lines if "laser/sampler/drawn_frac/easy" in line["data"]}


def draw(steps: Mapping[int, Mapping[str, float]], out: Path) -> None:
    """Two panels: all prompts drawn, and of those that were seen before the share of each band."""
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "band_mix", "svg.fonttype": "none", "font.size": 10})
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
    numbers = sorted(steps)
    drawn = {name: [steps[step][f"laser/sampler/drawn_frac/{name}"] for step in numbers] for name in COLOURS}
    left.stackplot(numbers, *(drawn[name] for name in COLOURS), labels=COLOURS, colors=COLOURS.values(), linewidth=0)
    left.set(title="prompts drawn, as known before", xlabel="step", ylabel="share", ylim=(0, 1), xlim=(1, numbers[-1]))
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4, frameon=False)
    for name, asked in SHARES.items():
        seen = [
            part / (1 - unseen) if unseen < 1 else None
            for part, unseen in zip(drawn[name], drawn["unseen"], strict=True)
        ]
        pool = [steps[step][f"laser/tracker/band_frac/{name}"] for step in numbers]
        right.plot(numbers, seen, color=COLOURS[name], marker="o", markersize=3, linewidth=1)
        right.plot(numbers, pool, color=COLOURS[name], linewidth=2, alpha=0.6, linestyle=":")
        right.axhline(asked, color=COLOURS[name], linewidth=1, linestyle="--")
    styles = {"drawn, of the prompts seen": "-", "pool": ":", "asked for": "--"}
    for label, style in styles.items():
        right.plot([], [], color="black", linestyle=style, label=label)
    right.set(title="bands", xlabel="step", ylim=(0, 1), xlim=(1, numbers[-1]))
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, frameon=False)
    figure.savefig(out, metadata={"Date": None})


def main(given: Sequence[str] | None = None) -> None:
    """Read the command line, train and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics", type=Path, help="metrics of a run, in place of a training")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".svg"))
    options = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as folder:
        steps = read(options.metrics or train(Path(folder)))
    draw(steps, options.out)
    last = sorted(steps)[-8:]
    for name in COLOURS:
        mean = sum(steps[step][f"laser/sampler/drawn_frac/{name}"] for step in last) / len(last)
        asked = f", asked for {SHARES[name]} of those seen" if name in SHARES else ""
        sys.stdout.write(f"{name}: {mean:.2f} of the prompts drawn in the last {len(last)} steps{asked}\n")


if __name__ == "__main__":
    main()
