"""What becomes of vLLM's failures, with a stand-in for it."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from laser_verl.commands import BadInput, CommandError
from laser_verl.evaluate.engine import Engine, EngineOptions, Output, Request

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
    for name in ("VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_LOGGING_LEVEL"):
        monkeypatch.setenv(name, "0")  # or it would be set for the tests after this one
    return package


def test_texts_come_as_they_finish_each_with_its_own_seed(vllm: ModuleType) -> None:
    engine = Engine(OPTIONS)
    assert list(engine.generate(REQUESTS)) == [Output(1, [3, 4], "stop"), Output(0, [3, 4], "stop")]
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
