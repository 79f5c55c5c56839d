"""An evaluation from request to report, and a report from recorded samples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from laser_verl.commands import CommandError
from laser_verl.evaluate.engine import Texts, circumstances
from laser_verl.evaluate.generation import Generation, Say, engine_options, make_prompts
from laser_verl.evaluate.model import find_model, fingerprint, load_tokenizer
from laser_verl.evaluate.picture import save_picture
from laser_verl.evaluate.plan import Plan, make_plan
from laser_verl.evaluate.plan import Request as EvaluationRequest
from laser_verl.evaluate.samples import SampleFile, read, write_atomically
from laser_verl.evaluate.settings import Settings
from laser_verl.evaluate.summary import summarise
from laser_verl.evaluate.tables import as_markdown

SAMPLES = "samples.jsonl"


class Stopped(CommandError):
    """Ctrl-C: what was generated is kept."""

    exit_code = 130


def evaluate(request: EvaluationRequest, say: Say) -> dict[str, Any]:
    """Generate what is missing and report.

    Args:
        request: The request.
        say: Takes words on the progress.

    Returns:
        The summary.

    Raises:
        CommandError: If anything is wrong, or Ctrl-C stopped it.
    """
    plan = make_plan(request)
    prepare_folder(request.out)
    model = find_model(request.model)
    tokenizer = load_tokenizer(model)
    prompts = make_prompts(plan, tokenizer)
    options = engine_options(plan, model, tokenizer, prompts)
    settings = _settings(plan, model.name, fingerprint(model.folder, tokenizer.chat_template))
    path = request.out / SAMPLES
    with SampleFile(path, settings) as file:
        for note in file.notes:
            say(note)
        if file.record.samples:
            say(f"{path} holds {len(file.record.samples)} samples already; going on from there")
        try:
            with closing(Texts(options, request.workers)) as texts:
                Generation(plan, tokenizer, prompts, texts, file, say).run()
        except KeyboardInterrupt as error:
            kept = len(file.record.samples)
            raise Stopped(f"stopped; {path} keeps {kept} samples, the same command goes on") from error
    return report([path], request.out, say)


def report(paths: Sequence[Path], out: Path | None, say: Say) -> dict[str, Any]:
    """Compute everything from recorded samples.

    Args:
        paths: Files of samples.
        out: Takes summary, verdicts, table and picture; None writes nothing.
        say: Takes notes on what was left out.

    Returns:
        The summary.

    Raises:
        CommandError: If a file is bad, or nothing can be written.
    """
    if out is not None:
        prepare_folder(out)
    notes: list[str] = []
    records = read(paths, notes)
    for note in notes:
        say(note)
    summary, verdicts = summarise(records)
    if out is not None:
        write_atomically(
            out / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        )
        lines = (json.dumps(line, ensure_ascii=False) + "\n" for line in verdicts)
        write_atomically(out / "verdicts.jsonl", "".join(lines).encode("utf-8", "surrogatepass"))
        write_atomically(out / "table.md", as_markdown(summary))
        say(f"wrote summary.json, verdicts.jsonl and table.md to {out}")
        _draw(summary, out / "evaluation.png", say)
    return summary


def _draw(summary: dict[str, Any], path: Path, say: Say) -> None:
    try:
        save_picture(summary, path)
    except ModuleNotFoundError as error:
        say(f"no picture, which needs {error.name}: pip install 'laser-verl[report]', then the same by --from")
    else:
        say(f"picture: {path}")


def prepare_folder(out: Path) -> None:
    """Make the folder of results; raises CommandError where nothing can be written there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CommandError(
            f"--out {out} cannot be written: {error.strerror}; give a folder of yours with room on its disk"
        ) from error


def _settings(plan: Plan, name: str, digits: str) -> Settings:
    request = plan.request
    return Settings(
        model={"name": name, "fingerprint": digits},
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.max_tokens,
        seed=request.seed,
        dtype=request.dtype,
        template=request.template,
        thinking=request.thinking,
        cue=request.cue,
        answer_tokens=request.answer_tokens,
        engine={**circumstances(), "tensor_parallel": request.tensor_parallel},
    )
