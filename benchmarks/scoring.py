"""Responses per second of our scorer and of what verl's users have today, side by side in one run.

Streams: (a) what RL produces, eight responses a prompt; (b) symbolic answers only, no pair twice; (c) stream (a) with
1 % hostile answers. Everything concurrent has 16 responses in flight; latencies include the wait for a free worker.
Right: share of responses whose verdict is the true one, which the generator of the streams knows.

Run: python benchmarks/scoring.py
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from benchmarks.data import managers  # noqa: E402
from benchmarks.data.streams import Item, rl_stream, symbolic_stream, with_hostile  # noqa: E402
from laser_verl.scoring import Scorer  # noqa: E402
from laser_verl.scoring.cache import CachedJudge  # noqa: E402

IN_FLIGHT = 16
WORKERS = 2
SEED = 1
Judge = Callable[[Item], Awaitable[bool]]


class Measured:
    """Throughput, latency and truth of one way to score on one stream."""

    def __init__(self, items: list[Item], seconds: float, latencies: list[float], verdicts: list[bool]) -> None:
        self.seconds = seconds
        self.rate = len(items) / seconds
        self.p50, self.p99 = (1e3 * statistics.quantiles(latencies, n=100)[at] for at in (49, 98))
        self.right = statistics.fmean(v == item.is_right for v, item in zip(verdicts, items, strict=True))

    def line(self, name: str, beside: Measured | None) -> str:
        """One row of the table; the ratio is to `beside`."""
        ratio = f"{self.rate / beside.rate:8.1f}x" if beside else " " * 9
        latency = f"p50 {self.p50:8.2f} ms  p99 {self.p99:8.1f} ms"
        return f"  {name:42} {self.rate:9.1f}/s {ratio}  {latency}  right {self.right:6.1%}"


async def run(items: list[Item], judge: Judge, in_flight: int = IN_FLIGHT) -> Measured:
    """Score a stream with some responses in flight."""
    gate = asyncio.Semaphore(in_flight)
    latencies, verdicts = [0.0] * len(items), [False] * len(items)

    async def one(at: int) -> None:
        async with gate:
            begun = time.perf_counter()
            verdicts[at] = await judge(items[at])
            latencies[at] = time.perf_counter() - begun

    begun = time.perf_counter()
    await asyncio.gather(*(one(at) for at in range(len(items))))
    return Measured(items, time.perf_counter() - begun, latencies, verdicts)


class NoCache(CachedJudge):
    """Asks math-verify every time."""

    def ask(self, golds: list[str], answer: str) -> tuple:
        """Compare without a memory."""
        return self._pool.submit(golds, answer), "math_verify"


async def warm_up(scorer: Scorer) -> None:
    """Have its processes started."""
    await asyncio.gather(*(scorer.score_async(rf"<think></think>\boxed{{\sin {n}}}", "x") for n in range(8)))


async def ours(items: list[Item], timeout_seconds: float = 5.0, cache: bool = True) -> tuple[Measured, Counter, float]:
    """Our scorer, warm; also which layer decided how often, and the seconds that killed workers took."""
    scorer = Scorer(timeout_seconds=timeout_seconds, num_workers=WORKERS)
    if not cache:
        scorer._judged = NoCache(WORKERS, timeout_seconds)
    layers: Counter = Counter()
    stopped = 0.0

    async def judge(item: Item) -> bool:
        nonlocal stopped
        verdict = await scorer.score_async(item.response, item.gold)
        layers[verdict.layer] += 1
        stopped += timeout_seconds * (verdict.status == "timeout" and verdict.layer == "math_verify")
        return verdict.correct and verdict.well_formed

    try:
        await warm_up(scorer)
        return await run(items, judge), layers, stopped
    finally:
        scorer.close()


def directly(response: str, gold: str) -> bool:
    """math-verify as its README calls it; without its own format check, so that a cut response may count as right."""
    from math_verify import parse, verify

    return bool(verify(parse(rf"\boxed{{{gold}}}"), parse(response)))


async def math_verify_directly(items: list[Item]) -> Measured:
    """math-verify in the main thread, where its time-outs work."""

    async def judge(item: Item) -> bool:
        return directly(item.response, item.gold)

    directly(items[0].response, items[0].gold)
    return await run(items, judge, in_flight=1)


async def verl_math_verify(items: list[Item]) -> Measured:
    """The scorer of that name in verl, from threads, as its managers call it."""
    from verl.utils.reward_score.math_verify import compute_score

    threads = ThreadPoolExecutor(IN_FLIGHT)

    async def judge(item: Item) -> bool:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, compute_score, item.response, item.gold) == 1.0

    await asyncio.gather(*(judge(item) for item in items[:8]))
    return await run(items, judge)


async def pool_of_sixteen(items: list[Item]) -> Measured:
    """A process pool of 16, ten seconds for a result: how the paper's code scores. A stuck process stays stuck."""
    with multiprocessing.get_context("spawn").Pool(16) as pool:
        pool.starmap(directly, [(items[0].response, items[0].gold)] * 32, chunksize=1)
        threads = ThreadPoolExecutor(IN_FLIGHT)

        def wait(item: Item) -> bool:
            try:
                return pool.apply_async(directly, (item.response, item.gold)).get(timeout=10)
            except multiprocessing.TimeoutError:
                return False

        async def judge(item: Item) -> bool:
            return await asyncio.get_running_loop().run_in_executor(threads, wait, item)

        return await run(items, judge)


async def through_manager(items: list[Item], make: Callable[[Any], Any]) -> Measured:
    """A reward manager on verl's rows, decoding included."""
    tokenizer = managers.byte_tokenizer()
    rows = {id(item): managers.row(tokenizer, item) for item in items}
    manager = make(tokenizer)

    async def judge(item: Item) -> bool:
        return (await manager.run_single(rows[id(item)]))["reward_extra_info"]["acc"] == 1.0

    try:
        await asyncio.gather(*(judge(item) for item in items[:8]))
        if hasattr(manager, "scorer"):
            await warm_up(manager.scorer)
        return await run(items, judge)
    finally:
        if hasattr(manager, "scorer"):
            manager.scorer.close()


def print_rows(rows: list[tuple[str, Measured]], beside: Measured, layers: Counter) -> None:
    """The table of one stream."""
    for name, measured in rows:
        print(measured.line(name, beside))
    total = sum(layers.values())
    print("  layers: " + ", ".join(f"{name} {count / total:.1%}" for name, count in layers.most_common()))


async def rl(items: list[Item]) -> Measured:
    """Stream (a)."""
    share = sum(not item.gold.lstrip("-").isdigit() for item in items) / len(items)
    print(f"(a) {len(items)} responses, {share:.0%} with a gold that is no integer")
    direct = await math_verify_directly(items)
    ours_at_it, layers, _ = await ours(items)
    rows = [
        ("laser_verl", ours_at_it),
        ("laser_verl, cache off", (await ours(items, cache=False))[0]),
        ("math-verify called directly", direct),
        ("verl's math_verify scorer", await verl_math_verify(items)),
        ("process pool of 16, 10 s (paper's code)", await pool_of_sixteen(items)),
        ("verl's naive manager with math_dapo", await through_manager(items, managers.naive_manager)),
        ("laser_verl's manager, decoding included", await through_manager(items, managers.laser_manager)),
    ]
    print_rows(rows, direct, layers)
    return ours_at_it


async def symbolic(items: list[Item]) -> None:
    """Stream (b)."""
    print(f"(b) {len(items)} responses with symbolic answers, no pair twice")
    direct = await math_verify_directly(items)
    measured, layers, _ = await ours(items)
    print_rows([("laser_verl", measured), ("math-verify called directly", direct)], direct, layers)


async def hostile(items: list[Item], calm: Measured) -> None:
    """Stream (c)."""
    measured, layers, stopped = await ours(items)
    print(f"(c) (a) with 1 % hostile: {stopped:.0f} s of worker time went into answers that were stopped at the limit")
    print_rows([("laser_verl", measured)], calm, layers)
    beyond = len(items) / max(measured.seconds - stopped / WORKERS, 1e-9)
    print(f"  without the time of the stopped answers {beyond:.0f}/s, {beyond / calm.rate:.0%} of (a)")


async def main() -> None:
    """Measure and print."""
    logging.disable(logging.CRITICAL)
    items = rl_stream(SEED)
    calm = await rl(items)
    await symbolic(symbolic_stream(SEED))
    await hostile(with_hostile(items, SEED), calm)


if __name__ == "__main__":
    asyncio.run(main())
