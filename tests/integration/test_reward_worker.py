"""verl's own reward worker, a Ray actor, with our manager inside: hostile answers, and processes killed under it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from omegaconf import DictConfig, OmegaConf
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

from benchmarks.data.managers import byte_tokenizer, row
from benchmarks.data.streams import HOSTILE, Item
from laser_verl.scoring import LAYERS, STATUSES
from tests.conftest import REPOSITORY
from tests.unit.test_scorer import is_alive, wait_until, workers_of, worst_lag

TOKENIZER = byte_tokenizer()
TIMEOUT_SECONDS = 1.0


class WatchedWorker(RewardLoopWorker):
    """The real worker, and a look at its event loop and its child processes."""

    async def watch(self) -> None:
        self.done = asyncio.Event()
        self.lag = asyncio.create_task(worst_lag(self.done))

    async def worst(self) -> float:
        self.done.set()
        return await self.lag

    async def children(self) -> list[int]:
        return workers_of(os.getpid())


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DictConfig:
    folder = tmp_path_factory.mktemp("tokenizer")
    TOKENIZER.save_pretrained(folder)
    return OmegaConf.create(
        {
            "reward": {
                "reward_manager": {"name": "laser_d", "source": "register"},
                "reward_kwargs": {"verify_timeout_seconds": TIMEOUT_SECONDS},
                "custom_reward_function": {"path": None, "name": None},
                "reward_model": {"enable": False},
                "sandbox_fusion": None,
            },
            "actor_rollout_ref": {"rollout": {"n": 8}, "model": {"path": str(folder), "tokenizer_path": str(folder)}},
            "data": {"max_response_length": 32_768},
            "trainer": {"v1": {"trainer_mode": "sync"}},
            "laser": {"shape_on_driver": True},
        }
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    runtime = {"env_vars": {"PYTHONPATH": str(REPOSITORY)}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=runtime)
    yield
    ray.shutdown()


@pytest.fixture
def worker(cluster: None, config: DictConfig) -> Iterator[Any]:
    actor = ray.remote(num_cpus=0)(WatchedWorker).remote(config)
    ray.get(actor.compute_score.remote(data(r"\sin x", "x")))  # warm
    yield actor
    ray.kill(actor)


def data(answer: str, gold: str) -> Any:
    return row(TOKENIZER, Item(rf"<think>so</think> \boxed{{{answer}}}", gold, True))


def harmless(number: int) -> list[tuple[Any, str]]:
    """Rows and their statuses; half of them need math-verify."""
    rows = []
    for i in range(number):
        gold = i + i % 2
        text, other = (str(i), str(gold)) if i % 4 < 2 else (rf"\sin {i}", rf"\cos(\frac{{\pi}}{{2}}-{gold})")
        rows.append((data(text, other), "different" if i % 2 else "equal"))
    return rows


def statuses(results: list[dict]) -> list[str]:
    return [STATUSES[int(result["reward_extra_info"]["score_status"])] for result in results]


def test_the_event_loop_of_a_reward_worker_never_stalls(worker: Any) -> None:
    calm = harmless(190)
    # The host may starve the worker, which only ever adds to the lag: the best of three rounds counts.
    for attempt in range(3):
        hostile = [(data(text.format(10 + i + 6 * attempt), "7"), "timeout") for i in range(2) for text in HOSTILE]
        large = [(data(text, "7"), "unparseable") for text in ("9^{9^{9^9}}", "(10^9)!", "(" * 10_000, "{}" * 10_000)]
        rows = calm[:95] + hostile + large + calm[95:]
        ray.get(worker.watch.remote())
        begun = time.perf_counter()
        results = ray.get([worker.compute_score.remote(item) for item, _ in rows])
        seconds, lag = time.perf_counter() - begun, ray.get(worker.worst.remote())
        print(
            f"{len(rows)} rows, {len(hostile)} stopped at {TIMEOUT_SECONDS} s: {seconds:.1f} s, lag {1e3 * lag:.0f} ms"
        )
        assert statuses(results) == [status for _, status in rows]
        if lag < 0.1:
            return
    pytest.fail(f"the event loop stood still for {lag:.3f} s")


def test_processes_killed_in_the_middle_of_a_batch_lose_nothing(worker: Any) -> None:
    rows = harmless(200)
    pending = [worker.compute_score.remote(item) for item, _ in rows]
    for _ in range(3):
        time.sleep(0.1)
        for pid in ray.get(worker.children.remote()):
            os.kill(pid, signal.SIGKILL)
    results = ray.get(pending)
    assert statuses(results) == [status for _, status in rows]
    by_layer = {LAYERS[int(result["reward_extra_info"]["score_layer"])] for result in results}
    assert {"text", "number", "math_verify"} <= by_layer


def test_the_processes_end_with_the_actor(worker: Any) -> None:
    pids = ray.get(worker.children.remote())
    assert pids
    ray.kill(worker)
    assert wait_until(lambda: not any(map(is_alive, pids)), 10.0)
