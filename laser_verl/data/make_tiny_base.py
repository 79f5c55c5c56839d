r"""Make the base model of the miniature world from scratch, by supervised training on traces.

    python -m laser_verl.data.make_tiny_base --out FOLDER

makes the weights that ship with the package, in five minutes on one core, and ends with

    easy: accuracy_frac 0.797, mean_tokens 45.153, malformed_frac 0.000
    medium: accuracy_frac 0.687, mean_tokens 43.633, malformed_frac 0.000
    hard: accuracy_frac 0.463, mean_tokens 42.863, malformed_frac 0.007
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from laser_verl.data import tiny_world
from laser_verl.data.tiny_world import DIFFICULTIES, LETTERS, MAX_RESPONSE_TOKENS, Problem

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase, Qwen2ForCausalLM

# The padding token has the name that Qwen2's tokenizer adds to every vocabulary in any case.
PAD, EOS = "<|endoftext|>", "<|eos|>"
SPECIAL_TOKENS = (PAD, EOS, "<|user|>", "<|assistant|>")
# Not special, like the think tags of the R1 tokenizers: verl decodes responses without special tokens.
WORDS = ("<think>", "</think>", "\\boxed{", "wait ")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}<|eos|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


# Few, so that hits are not too rare to learn what they are.
NUM_TRIALS = 6


@dataclass(frozen=True)
class Settings:
    """How the base model is trained; the defaults made the weights that ship with the package.

    The training goes through three lessons: trials on easy problems, trials on harder and harder ones, whole traces.
    Most tokens of a trace are noise (guesses) or copies (redone checks), so lookups are learned several times faster
    from trials alone, and soonest where there are few letters to look up.

    Attributes:
        num_steps: Updates in all.
        batch_size: Texts per update.
        usual_num_tokens: Tokens of a response, roughly; the loss is divided by them, and gradients clipped at norm 1.
        num_batches_sorted: Batches whose texts are sorted by length together, which saves padding.
        matrix_lr: Peak learning rate of Muon for the matrices of the layers. AdamW alone needs several times the steps
            to find the two lookups that a trial consists of.
        other_lr: Peak learning rate of AdamW for the embedding, the biases and the norms.
        warmup_steps: Steps of linear warm-up, before a cosine down to a twentieth.
        medium_from_frac: Share of the training after which medium problems are added to the easy ones.
        hard_from_frac: Share of the training after which hard problems are added.
        traces_from_frac: Share of the training after which whole traces take the place of trials.
        sharpness: What the last norm is multiplied with after the training. Sampling at temperature 1 is then what
            sampling at `1 / sharpness` was, which leaves next to none of the stray tokens that so short a training does
            not rule out.
        seed: Seed of the weights and of the texts.
    """

    num_steps: int = 2200
    batch_size: int = 64
    usual_num_tokens: int = 30
    num_batches_sorted: int = 20
    matrix_lr: float = 0.02
    other_lr: float = 0.003
    warmup_steps: int = 50
    medium_from_frac: float = 0.1
    hard_from_frac: float = 0.2
    traces_from_frac: float = 0.6
    sharpness: float = 1.15
    seed: int = 0

    def lr_factor(self, step: int) -> float:
        """What the peak learning rates are multiplied with."""
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.num_steps))
        return min(1.0, (step + 1) / self.warmup_steps) * (0.05 + 0.95 * cosine)


def build_tokenizer() -> PreTrainedTokenizerBase:
    """A byte-level tokenizer without merges: every byte is a token, and so are the words of the world."""
    from tokenizers import AddedToken
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    tokens = [*SPECIAL_TOKENS, *WORDS, *sorted(ByteLevel.alphabet())]
    tokenizer = Qwen2Tokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=[],
        unk_token=PAD,
        pad_token=PAD,
        eos_token=EOS,
        extra_special_tokens=list(SPECIAL_TOKENS[2:]),
        model_max_length=512,
    )
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word in WORDS])
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_model(tokenizer: PreTrainedTokenizerBase) -> Qwen2ForCausalLM:
    """A two-layer Qwen2 with random weights; heads of size 32, the smallest that vLLM's CPU attention knows."""
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=512,
        initializer_range=0.05,
        tie_word_embeddings=True,
        bos_token_id=None,
        dtype="float32",
        **ids,
    )
    model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=1.0, **ids)
    return model


def prompts(tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem]) -> list[str]:
    """The questions as the chat template renders them."""
    chats = [[{"role": "user", "content": problem.question}] for problem in problems]
    return tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)


def trials(problem: Problem, rng: random.Random) -> str:
    """A thought without end: `NUM_TRIALS` different guesses, or all letters, with the answer among them."""
    answer = LETTERS.index(problem.answer)
    guesses = rng.sample(range(len(problem.images)), len(problem.images))[:NUM_TRIALS]
    if answer not in guesses:
        guesses[rng.randrange(NUM_TRIALS)] = answer
    return "<think>" + "".join(problem.trial(guess) for guess in guesses)


def batches(tokenizer: PreTrainedTokenizerBase, settings: Settings) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches without end, of the lesson that is due.

    Args:
        tokenizer: The tokenizer.
        settings: The settings.

    Yields:
        Token ids and a mask that is True on the tokens of the response, both `[B, T]` and padded on the right.
    """
    rng, num_batches = random.Random(settings.seed), 0
    size = settings.num_batches_sorted * settings.batch_size
    while True:
        done_frac = num_batches / settings.num_steps
        num_difficulties = 1 + (done_frac >= settings.medium_from_frac) + (done_frac >= settings.hard_from_frac)
        problems = [tiny_world.draw(rng.choice(DIFFICULTIES[:num_difficulties]), rng) for _ in range(size)]
        if done_frac < settings.traces_from_frac:
            responses = [trials(problem, rng) for problem in problems]
        else:
            responses = [tiny_world.trace(problem, rng) + EOS for problem in problems]
        ids = tokenizer(prompts(tokenizer, problems) + responses)["input_ids"]
        rows = list(zip(ids[:size], ids[size:], strict=True))
        rows.sort(key=lambda row: len(row[0]) + len(row[1]))
        starts = list(range(0, size, settings.batch_size))
        rng.shuffle(starts)
        for start in starts:
            yield _pad(rows[start : start + settings.batch_size], tokenizer.pad_token_id)
            num_batches += 1


def _pad(rows: Sequence[tuple[list[int], list[int]]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ids = [torch.tensor(prompt + response) for prompt, response in rows]
    masks = [torch.tensor([False] * len(prompt) + [True] * len(response)) for prompt, response in rows]
    return pad_sequence(ids, batch_first=True, padding_value=pad_id), pad_sequence(masks, batch_first=True)


def train(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerBase, settings: Settings, report: Callable[[str], Any]
) -> None:
    """Train the model in place.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        settings: The settings.
        report: Takes a progress line now and then.
    """
    import torch
    from torch.nn.functional import cross_entropy

    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers = [
        torch.optim.Muon(matrices, lr=settings.matrix_lr, momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(others, lr=settings.other_lr, betas=(0.9, 0.98), weight_decay=0.01),
    ]
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, settings.lr_factor) for optimizer in optimizers]
    start = time.perf_counter()
    for step, (ids, mask) in zip(range(settings.num_steps), batches(tokenizer, settings), strict=False):
        is_target = mask[:, 1:]
        hidden = model.model(input_ids=ids[:, :-1]).last_hidden_state[is_target]
        loss_sum = cross_entropy(model.lm_head(hidden), ids[:, 1:][is_target], reduction="sum")
        model.zero_grad()
        # Not divided by the tokens of this batch: batches are sorted by length, so that would favour the tokens of
        # short traces, and with them giving up early.
        (loss_sum / (settings.batch_size * settings.usual_num_tokens)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper in (*optimizers, *schedules):
            stepper.step()
        if (step + 1) % 100 == 0:
            loss, seconds = loss_sum / is_target.sum(), time.perf_counter() - start
            report(f"step {step + 1} of {settings.num_steps}, loss {loss:.3f}, {seconds:.0f} s")
    with torch.no_grad():
        model.model.norm.weight *= settings.sharpness


def evaluate(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem]
) -> dict[str, float]:
    """Sample one response per problem at temperature 1.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        problems: The problems.

    Returns:
        `accuracy_frac`, `mean_tokens` and `malformed_frac`.
    """
    import torch

    inputs = tokenizer(prompts(tokenizer, problems), padding=True, padding_side="left", return_tensors="pt")
    with torch.no_grad():
        ids = model.generate(**inputs, max_new_tokens=MAX_RESPONSE_TOKENS)[:, inputs["input_ids"].shape[1] :]
    answers = [tiny_world.given_answer(text) for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
    num = len(problems)
    return {
        "accuracy_frac": sum(a == p.answer for a, p in zip(answers, problems, strict=True)) / num,
        "mean_tokens": (ids != tokenizer.pad_token_id).sum().item() / num,
        "malformed_frac": answers.count(None) / num,
    }


def main(
    out: Annotated[Path, typer.Option(help="Folder to write the model and its tokenizer to.")],
    seed: Annotated[int, typer.Option(help="Seed of the weights and of the traces.")] = Settings.seed,
) -> None:
    """Make the base model of the miniature world from scratch."""
    import torch

    settings = Settings(seed=seed)
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    model = build_model(tokenizer)
    typer.echo(f"{model.num_parameters():,} parameters, {settings}")
    train(model, tokenizer, settings, report=typer.echo)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    for difficulty in DIFFICULTIES:
        problems = [p for p in tiny_world.make_problems(300, seed=0) if p.difficulty == difficulty]
        figures = evaluate(model, tokenizer, problems)
        typer.echo(f"{difficulty}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))


if __name__ == "__main__":
    typer.run(main)
