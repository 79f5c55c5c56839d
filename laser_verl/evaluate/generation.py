"""The responses that a plan lacks: first those as they come, then those under each budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from laser_verl.commands import BadInput, WrongUsage, message_of
from laser_verl.evaluate.engine import EngineOptions, Output, Request, Texts
from laser_verl.evaluate.forcing import cut, encode, thinking_tokens
from laser_verl.evaluate.model import Model, refuse_too_long
from laser_verl.evaluate.plan import Plan
from laser_verl.evaluate.problems import Problem
from laser_verl.evaluate.samples import Sample, SampleFile
from laser_verl.evaluate.settings import Settings, request_seed
from laser_verl.scoring.formats import CLOSE, OPEN, prompt_opens_think
from laser_verl.verl_ext.text import decode_visible

Say = Callable[[str], None]

_SECONDS_BETWEEN_WORDS = 10.0


@dataclass(frozen=True)
class Prompt:
    """A problem as the model sees it."""

    problem: Problem
    token_ids: list[int]
    opens_think: bool


def make_prompts(plan: Plan, tokenizer: Any) -> list[Prompt]:
    """The problems under the model's chat template.

    Args:
        plan: The plan.
        tokenizer: Of the model.

    Returns:
        One prompt a problem.

    Raises:
        BadInput: If the chat template refuses one.
    """
    prompts = []
    for problem in plan.problems:
        try:
            text = tokenizer.apply_chat_template(list(problem.messages), add_generation_prompt=True, tokenize=False)
        except Exception as error:  # whatever the template raises, as of a role that it does not know
            raise BadInput(
                f"{problem.benchmark}: the model's chat template refuses a prompt ({message_of(error):.200}): "
                f"{problem.question!r:.80}; give another --template, or other messages"
            ) from error
        prompts.append(Prompt(problem, encode(tokenizer, text), prompt_opens_think(text)))
    return prompts


def engine_options(plan: Plan, model: Model, tokenizer: Any, prompts: Sequence[Prompt]) -> EngineOptions:
    """How to load the model for a plan; raises WrongUsage where it cannot read as much as that."""
    request = plan.request
    ids = [prompt.token_ids for prompt in prompts]
    context = refuse_too_long(model, ids, request.max_tokens)
    if plan.budgets:
        around = len(encode(tokenizer, OPEN)) + len(encode(tokenizer, CLOSE)) + len(encode(tokenizer, request.cue))
        forced = context - request.max_tokens + min(plan.budgets[-1], request.max_tokens) + around
        if forced + request.answer_tokens > model.context_tokens:
            rest = model.context_tokens - forced
            raise WrongUsage(
                f"--answer-tokens {request.answer_tokens}: a prompt, a thought of {plan.budgets[-1]} tokens and an "
                f"answer of that length are more than the {model.context_tokens} tokens that {model.name} reads; "
                + (f"give at most --answer-tokens {rest}" if rest > 0 else "give smaller --budgets")
            )
        # what a response says before its thought is not cut
        context = min(model.context_tokens, context + around + request.answer_tokens)
    return EngineOptions(
        folder=str(model.folder),
        dtype=request.dtype,
        context_tokens=context,
        tensor_parallel=request.tensor_parallel,
        max_num_seqs=request.max_num_seqs,
        temperature=request.temperature,
        top_p=request.top_p,
    )


class Generation:
    """Writes what a file of samples lacks.

    Args:
        plan: The plan.
        tokenizer: Of the model.
        prompts: Of the problems.
        texts: Where texts come from.
        file: Takes the samples.
        say: Takes words on the progress.
    """

    def __init__(
        self, plan: Plan, tokenizer: Any, prompts: Sequence[Prompt], texts: Texts, file: SampleFile, say: Say
    ) -> None:
        self._plan = plan
        self._tokenizer = tokenizer
        self._prompts = prompts
        self._texts = texts
        self._file = file
        self._say = say

    def run(self) -> None:
        """Generate what is missing; raises BadInput where the file has other problems, or another gold for one."""
        self._refuse_other_problems()
        self._plain()
        for budget in self._plan.budgets:
            self._forced(budget)

    @property
    def _settings(self) -> Settings:
        return self._file.record.settings

    def _refuse_other_problems(self) -> None:
        golds = {(one.benchmark, one.key): one.gold for one in self._plan.problems}
        for sample in self._file.record.samples.values():
            if sample.benchmark not in self._plan.samples:
                continue
            where, question = f"{self._file.record.path}: a problem of {sample.benchmark}", f"{sample.question!r:.80}"
            remedy = "give another --out, or the file of before"
            if (sample.benchmark, sample.key) not in golds:
                raise BadInput(f"{where} is there and not in its file now: {question}; {remedy}")
            gold = golds[sample.benchmark, sample.key]
            if gold != sample.gold:
                raise BadInput(
                    f"{where} has the gold {sample.gold!r:.60} there and {gold!r:.60} now: {question}; {remedy}"
                )

    def _pairs(self, budget: int | None) -> Iterator[tuple[Prompt, int]]:
        """Prompts and samples that are missing."""
        for prompt in self._prompts:
            problem = prompt.problem
            for sample in range(self._plan.samples[problem.benchmark]):
                if (problem.benchmark, problem.key, sample, budget) not in self._file.record.samples:
                    yield prompt, sample

    def _plain(self) -> None:
        pairs = list(self._pairs(None))
        longest = self._plan.request.max_tokens
        requests = [
            Request(number, prompt.token_ids, self._seed(prompt, sample, None), longest)
            for number, (prompt, sample) in enumerate(pairs)
        ]
        for output in self._told(requests, "responses"):
            prompt, sample = pairs[output.number]
            text = decode_visible(self._tokenizer, output.token_ids)
            num_thinking = thinking_tokens(self._tokenizer, output.token_ids, text, prompt.opens_think)
            self._add(prompt, sample, None, len(output.token_ids), num_thinking, output.finish, text)

    def _forced(self, budget: int) -> None:
        pairs, cuts, requests = [], [], []
        for prompt, sample in self._pairs(budget):
            problem = prompt.problem
            base = self._file.record.samples[problem.benchmark, problem.key, sample, None]
            is_truncated = base.finish == "length"
            found = cut(
                self._tokenizer, base.response or "", base.opens_think, is_truncated, budget, self._settings.cue
            )
            if found is None:
                self._add(prompt, sample, budget, base.tokens, base.thinking_tokens, base.finish, None)
                continue
            ids, seed = [*prompt.token_ids, *found.token_ids], self._seed(prompt, sample, budget)
            requests.append(Request(len(pairs), ids, seed, self._settings.answer_tokens))
            pairs.append((prompt, sample))
            cuts.append(found)
        for output in self._told(requests, f"answers after {budget} tokens of thought"):
            found = cuts[output.number]
            ids = [*found.token_ids, *output.token_ids]
            text = decode_visible(self._tokenizer, ids)
            self._add(*pairs[output.number], budget, len(ids), found.num_thinking, output.finish, text)

    def _seed(self, prompt: Prompt, sample: int, budget: int | None) -> int:
        return request_seed(self._settings.seed, prompt.problem.key, sample, budget)

    def _add(
        self,
        prompt: Prompt,
        sample: int,
        budget: int | None,
        tokens: int,
        num_thinking: int,
        finish: str,
        text: str | None,
    ) -> None:
        problem = prompt.problem
        self._file.append(
            Sample(
                benchmark=problem.benchmark,
                key=problem.key,
                source=problem.source,
                question=problem.question,
                gold=problem.gold,
                sample=sample,
                budget=budget,
                seed=self._seed(prompt, sample, budget),
                opens_think=prompt.opens_think,
                prompt_tokens=len(prompt.token_ids),
                tokens=tokens,
                thinking_tokens=num_thinking,
                finish=finish,
                response=text,
            )
        )

    def _told(self, requests: Sequence[Request], what: str) -> Iterator[Output]:
        """The texts, with words on how far they are."""
        if not requests:
            return
        self._say(f"{len(requests)} {what} to generate")
        begun = first = told = time.monotonic()
        for done, output in enumerate(self._texts.generate(requests), 1):
            yield output
            now = time.monotonic()
            if done == 1:  # the model is loaded
                first = told = now
            elif now - told >= _SECONDS_BETWEEN_WORDS:
                left = (now - first) / (done - 1) * (len(requests) - done)
                self._say(f"{done} of {len(requests)} {what}, about {left / 60:.0f} min left")
                told = now
        self._say(f"{len(requests)} {what} in {time.monotonic() - begun:.0f} s")
