"""Prompts that are longer than the model's run allows, by its own tokenizer and chat template."""

from __future__ import annotations

from pathlib import Path

from laser_verl.commands import BadInput
from laser_verl.data.prepare.rows import Findings, Row
from laser_verl.data.prepare.templates import Template


class Lengths:
    """Leaves out the rows whose prompt has too many tokens, as verl counts them under `filter_overlong_prompts`."""

    def __init__(self, model: Path, template: Template, most: int) -> None:
        """Load the tokenizer.

        Args:
            model: Folder of a model or tokenizer in Hugging Face form.
            template: Of the prompts.
            most: Tokens of a prompt, chat template included.

        Raises:
            BadInput: If the folder holds no tokenizer, or one without a chat template or that refuses the prompts.
        """
        from transformers import AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        except Exception as error:  # a broken folder fails in many ways
            said = " ".join(str(error).split())
            raise BadInput(f"--model {model} holds no tokenizer ({said:.200}); give a model's folder") from error
        if not self._tokenizer.chat_template:
            raise BadInput(f"--model {model}: the tokenizer has no chat template; give the folder of an instruct model")
        self._template, self._most = template, most
        try:
            self._texts(["1+1?"])
        except Exception as error:  # whatever a chat template raises, as one that takes no system message
            said = " ".join(str(error).split())
            raise BadInput(f"--model {model}: its chat template fails: {said:.200}; take another --template") from error

    def __call__(self, rows: list[Row], findings: Findings) -> list[Row]:
        """Return the rows that are short enough."""
        texts = self._texts([row.problem for row in rows])
        numbers = [len(ids) for ids in self._tokenizer(texts, add_special_tokens=False)["input_ids"]] if texts else []
        for row, number in zip(rows, numbers, strict=True):
            if number > self._most:
                findings.add(row, "long_prompt", False, {"tokens": number})
        return [row for row, number in zip(rows, numbers, strict=True) if number <= self._most]

    def _texts(self, problems: list[str]) -> list[str]:
        return [
            self._tokenizer.apply_chat_template(
                self._template.messages(problem), add_generation_prompt=True, tokenize=False
            )
            for problem in problems
        ]
