"""What becomes of vLLM's failures, with a stand-in for it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from laser_verl.commands import BadInput, CommandError, WrongUsage
from laser_verl.evaluate.engine import Engine, EngineOptions, Output, Request, Texts, circumstances, refuse_too_few_gpus

OPTIONS = EngineOptions("models/m", "float32", 100, 1, None, 0.6, 0.95)
REQUESTS = [Request(number, [1, 2], 7 + number, 10) for number in range(2)]


class FakeEngine:
    """Finishes the last request first; fails in the step of that number."""

    def __init__(self, fails_in_step: int | None = None, end: str = "stop") -> None:
        self.requests: list[tuple[str, Any]] = []
        self.params: list[Any] = []
        self.fails_in_step = fails_in_step
        self.end = end
        self.steps = 0

    def add_request(self, number: str, prompt: Any, params: Any) -> None:
        self.requests.append((number, prompt))
        self.params.append(params)

    def has_unfinished_requests(self) -> bool:
        return bool(self.requests)

    def step(self) -> list[Any]:
        self.steps += 1
        if self.steps == self.fails_in_step:
            raise Exception("CUDA out\nof memory")
        number, _ = self.requests.pop()
        text = SimpleNamespace(token_ids=(3, 4), finish_reason=self.end)
        return [
            SimpleNamespace(finished=False),
            SimpleNamespace(finished=True, request_id=number, outputs=[text]),
        ]


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package in vLLM's place; its `LLM` has a `FakeEngine`."""
    package, platforms, params = (ModuleType(name) for name in ("vllm", "vllm.platforms", "vllm.sampling_params"))
    package.LLM = lambda **given: SimpleNamespace(given=given, llm_engine=FakeEngine())
    package.SamplingParams = SimpleNamespace
    platforms.current_platform = SimpleNamespace(is_cpu=lambda: True)
    params.RequestOutputKind = SimpleNamespace(FINAL_ONLY=2)
    for module in (package, platforms, params):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_LOGGING_LEVEL", "VLLM_CPU_KVCACHE_SPACE"):
        monkeypatch.setenv(name, "0")  # or it would be set for the tests after this one
    return package


def test_on_a_cpu_the_kv_cache_leaves_memory_to_others(vllm: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    Engine(OPTIONS)
    assert os.environ["VLLM_CPU_KVCACHE_SPACE"] == "0"  # what the user says
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE")
    Engine(OPTIONS)
    assert os.environ["VLLM_CPU_KVCACHE_SPACE"] == "4"


def test_texts_come_as_they_finish_each_with_its_own_seed(vllm: ModuleType) -> None:
    engine = Engine(OPTIONS)
    assert list(engine.generate(REQUESTS)) == [Output(1, [3, 4], "stop"), Output(0, [3, 4], "stop")]
    assert engine._llm.given == {
        "model": "models/m",
        "dtype": "float32",
        "max_model_len": 100,
        "tensor_parallel_size": 1,
        "seed": 0,
        "disable_log_stats": True,
        "enforce_eager": True,
        "enable_chunked_prefill": False,
    }
    params = engine._llm.llm_engine.params
    assert [(one.seed, one.temperature, one.top_p, one.max_tokens) for one in params] == [
        (7, 0.6, 0.95, 10),
        (8, 0.6, 0.95, 10),
    ]


@pytest.mark.parametrize("error", [Exception("no\nheader"), KeyError("no header"), ValueError("no header")])
def test_what_vllm_cannot_load_is_bad_input(vllm: ModuleType, error: Exception) -> None:
    def fail(**_: object) -> None:
        raise error

    vllm.LLM = fail
    with pytest.raises(BadInput) as caught:
        Engine(OPTIONS)
    assert str(caught.value) == "vLLM cannot load models/m: no header; VLLM_LOGGING_LEVEL=INFO shows more"


def test_a_failure_on_the_way_keeps_what_is_finished(vllm: ModuleType) -> None:
    engine = Engine(OPTIONS)
    engine._llm.llm_engine.fails_in_step = 2
    found = engine.generate(REQUESTS)
    assert next(found).number == 1
    with pytest.raises(
        CommandError, match="vLLM failed: CUDA out of memory; what is finished is kept, and the same command goes on"
    ):
        next(found)


def test_a_response_that_vllm_gave_up_is_no_sample(vllm: ModuleType) -> None:
    engine = Engine(OPTIONS)
    engine._llm.llm_engine.end = "abort"
    with pytest.raises(CommandError, match=r"vLLM gave up a response \(abort\)"):
        list(engine.generate(REQUESTS))


def test_where_vllm_finds_no_device_workers_elsewhere_may_have_one(vllm: ModuleType) -> None:
    def fail() -> str:
        raise NotImplementedError

    sys.modules["vllm.platforms"].current_platform = SimpleNamespace(is_cpu=lambda: False, get_device_name=fail)
    assert circumstances()["device"] == "none here"


def node(gpus: int, alive: bool = True) -> dict[str, Any]:
    return {"Alive": alive, "Resources": {"CPU": 8.0, **({"GPU": float(gpus)} if gpus else {})}}


def test_more_workers_than_rays_nodes_have_gpus_for() -> None:
    nodes = [node(0), node(8), node(7), node(8, alive=False)]
    # 2 and 1 copies of 4 GPUs
    refuse_too_few_gpus(nodes, 3, 4)
    with pytest.raises(WrongUsage, match=r"--workers 4 with --tensor-parallel 4 .* have room for 3"):
        refuse_too_few_gpus(nodes, 4, 4)
    # no node has 9, though all of them have 15
    with pytest.raises(WrongUsage, match="have room for 0"):
        refuse_too_few_gpus(nodes, 1, 9)
    # on CPUs
    refuse_too_few_gpus([node(0)], 2, 1)


def test_workers_have_gpus_and_vllms_environment(vllm: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def map_batches(worker: object, **options: Any) -> Any:
        given.update(options)
        return SimpleNamespace(iter_rows=lambda: iter([{"number": 0, "token_ids": [3, 4], "finish": "stop"}]))

    ray = ModuleType("ray")
    ray.init, ray.nodes = (lambda **_: None), (lambda: [node(4)])
    ray.data = SimpleNamespace(
        DataContext=SimpleNamespace(get_current=SimpleNamespace),
        ActorPoolStrategy=SimpleNamespace,
        from_items=lambda rows, **_: SimpleNamespace(map_batches=map_batches),
    )
    ray.exceptions = SimpleNamespace(RayError=RuntimeError)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "1")
    monkeypatch.setenv("VLLM_HOST_IP", "192.0.2.1")
    options = replace(OPTIONS, tensor_parallel=2)
    assert list(Texts(options, 2).generate(REQUESTS)) == [Output(0, [3, 4], "stop")]
    assert (given["num_gpus"], given["compute"].size) == (2, 2)
    environment = given["runtime_env"]["env_vars"]
    assert environment["VLLM_BATCH_INVARIANT"] == "1"
    assert "VLLM_HOST_IP" not in environment
    with pytest.raises(WrongUsage, match="--workers 3"):
        list(Texts(options, 3).generate(REQUESTS))
