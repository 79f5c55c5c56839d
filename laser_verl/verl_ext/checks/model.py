"""The model's folder without its weights: config, tokenizer, chat template, and prompts as the model would see them."""

from __future__ import annotations

import os
import re
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from laser_verl.scoring.formats import CLOSE, OPEN, prompt_opens_think
from laser_verl.verl_ext.checks.data import Split
from laser_verl.verl_ext.checks.host import quiet
from laser_verl.verl_ext.checks.report import Report, one_line
from laser_verl.verl_ext.text import decode_visible

_NODE = "actor_rollout_ref.model"
_ROLLOUT = "actor_rollout_ref.rollout"
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_CPU_HEAD_SIZES = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
_BOX = r"\boxed{7}"
_QUESTION_END = "tags."


def check_model(config: DictConfig, splits: dict[str, Split], needs_think: bool | None, report: Report) -> None:
    """Load config and tokenizer as verl does, and try them on the first prompts.

    Args:
        config: The composed config.
        splits: What the data holds.
        needs_think: Whether responses must hold think tags; None where our scorer does not read them.
        report: Takes mistakes, notes and what is active.
    """
    model = _load(config, report)
    report.active["model"] = str(OmegaConf.select(config, f"{_NODE}.path"))
    if model is None:
        return
    with report.guard(f"{_NODE}.path"):
        _check_sizes(config, model.hf_config, report)
    tokenizer = model.tokenizer
    if tokenizer is None:
        report.add(
            f"{_NODE}.load_tokenizer", f"{_NODE}.load_tokenizer=false leaves nothing to decode with; set it true"
        )
        return
    with report.guard(f"{_NODE}.path"):
        if needs_think is not None:
            _check_tokens(tokenizer, needs_think, report)
        if _check_template(config, tokenizer, needs_think, report):
            for name, split in splits.items():
                _check_prompts(config, name, split, tokenizer, report)


def check_other_models(config: DictConfig, report: Report) -> None:
    """Check that critic and reward model, where the run has them, are there.

    Args:
        config: The composed config.
        report: Takes mistakes and notes.
    """
    if report.active.get("critic"):
        model_folder("critic.model.path", OmegaConf.select(config, "critic.model.path"), report)
    if config.reward.reward_model.enable:
        model_folder(
            "reward.reward_model.model_path", OmegaConf.select(config, "reward.reward_model.model_path"), report
        )


def model_folder(key: str, path: Any, report: Report) -> str | None:
    """Find the local folder of a model, from the cache if it is a hub id; nothing is downloaded.

    Args:
        key: Dotted key of the config, for messages.
        path: Its value.
        report: Takes the mistake, or a note where the model may be fine and is not here.

    Returns:
        The folder; None where it is not on this machine.
    """
    if not path:
        report.add(key, f"{key} is not set; give a model folder or a hub id")
        return None
    folder = os.path.expanduser(str(path))
    if os.path.isdir(folder):
        return folder
    if "://" in str(path):
        report.notes.append(f"{key}={path} is not on this machine; it was not checked")
    elif _HUB_ID.fullmatch(str(path)) and not str(path).startswith("."):
        from huggingface_hub import snapshot_download

        try:
            wanted = ["*.json", "*.jinja", "*.model", "*.txt"]
            return snapshot_download(str(path), local_files_only=True, allow_patterns=wanted)
        except Exception:  # hub errors differ between versions; not being there is no mistake
            report.notes.append(f"{key}={path} is neither a folder nor in the local hub cache; it was not checked")
    else:
        report.add(key, f"{key}={path} is no folder; give one that holds config.json and a tokenizer, or a hub id")
    return None


def _load(config: DictConfig, report: Report) -> Any:
    """Build verl's own model config: tokenizer, template, Hugging Face config; None where it cannot be had."""
    from verl.utils.config import omega_conf_to_dataclass

    key = f"{_NODE}.path"
    folder = model_folder(key, OmegaConf.select(config, key), report)
    if folder is None:
        return None
    node = config.actor_rollout_ref.model.copy()
    with open_dict(node):
        node.path = folder
    for name in ("hf_config_path", "tokenizer_path"):
        if node.get(name):
            node[name] = model_folder(f"{_NODE}.{name}", node[name], report)
            if node[name] is None:
                return None
    try:
        with quiet():
            return omega_conf_to_dataclass(node)
    except Exception as error:  # a broken folder fails in many ways
        while error.__cause__ is not None:
            error = error.__cause__  # type: ignore[assignment]
        said = one_line(str(error))[:300]
        report.add(key, f"{key}={folder} cannot be read: {type(error).__name__}: {said}; give a complete model folder")
        return None


def _check_sizes(config: DictConfig, hf_config: Any, report: Report) -> None:
    text = getattr(hf_config, "text_config", None) or hf_config
    longest, asked = (
        getattr(text, "max_position_embeddings", None),
        OmegaConf.select(config, f"{_ROLLOUT}.max_model_len"),
    )
    if isinstance(longest, int) and isinstance(asked, int) and asked > longest:
        key = f"{_ROLLOUT}.max_model_len"
        report.add(key, f"{key}={asked} is above the model's {longest} positions; give at most {longest}")
    room, prompt, response = asked or longest, config.data.max_prompt_length, config.data.max_response_length
    if isinstance(room, int) and isinstance(prompt, int) and isinstance(response, int) and prompt + response > room:
        report.notes.append(
            f"data.max_prompt_length={prompt} plus data.max_response_length={response} is more than the {room} tokens "
            "the rollout has room for; after long prompts responses end earlier"
        )
    is_cpu = config.trainer.device == "cpu" or os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"
    heads = getattr(text, "num_attention_heads", None)
    if is_cpu and OmegaConf.select(config, f"{_ROLLOUT}.name") == "vllm" and heads:
        size = getattr(text, "head_dim", None) or text.hidden_size // heads
        if size not in _CPU_HEAD_SIZES:
            report.add(
                f"{_NODE}.path",
                f"{_NODE}.path: attention heads of size {size}, which vLLM on CPU does not know; it knows "
                f"{', '.join(map(str, _CPU_HEAD_SIZES))}: use another model",
            )


def _check_tokens(tokenizer: Any, needs_think: bool, report: Report) -> None:
    """What the scorer reads has to survive the way to token ids and back."""
    for text in ([f"{OPEN}x{CLOSE}"] if needs_think else []) + [_BOX]:
        ids = tokenizer.encode(text, add_special_tokens=False)
        back = decode_visible(tokenizer, ids)
        if "".join(back.split()) != text:
            remedy = " or add +reward.reward_kwargs.thinking=boxed, which asks for no tags" if text != _BOX else ""
            report.add(
                f"{_NODE}.path",
                f"{_NODE}.path: the tokenizer turns {text!r} into {back!r}, so no response could be well formed; use a "
                f"tokenizer that keeps it{remedy}",
            )


def _check_template(config: DictConfig, tokenizer: Any, needs_think: bool | None, report: Report) -> bool:
    """Render a question; False where the template cannot."""
    key = f"{_NODE}.custom_chat_template"
    if not getattr(tokenizer, "chat_template", None):
        report.add(key, f"the tokenizer of {_NODE}.path has no chat template; use an instruct model, or give {key}")
        return False
    question = [{"role": "user", "content": f"Think in {OPEN} and {CLOSE} {_QUESTION_END}"}]
    try:
        with_turn, asked = (_render(config, tokenizer, question, is_turn) for is_turn in (True, False))
    except Exception as error:  # templates are programs, and raise what they like
        report.add(key, f"the chat template of {_NODE}.path fails: {one_line(str(error))}; give another as {key}")
        return False
    if not needs_think:
        report.active["think_tags"] = "not asked for"
        return True
    if OPEN not in asked or CLOSE not in asked:
        report.add(key, f"the chat template of {_NODE}.path removes think tags from the prompt; give another as {key}")
    opening = with_turn.rpartition(_QUESTION_END)[2]
    ids = tokenizer.encode(with_turn, add_special_tokens=False)
    opens = prompt_opens_think(tokenizer.decode(ids[-16:], skip_special_tokens=False))
    if CLOSE in opening:
        report.add(
            key,
            f"the chat template of {_NODE}.path opens and closes the thought before the response, so none could be "
            "well formed; allow thinking (often +data.apply_chat_template_kwargs.enable_thinking=true), or add "
            "+reward.reward_kwargs.thinking=boxed",
        )
    elif OPEN in opening and not opens:
        report.add(
            key,
            f"the chat template of {_NODE}.path opens the thought and goes on with text, so the response's tags cannot "
            f"be told from it; let the prompt end with {OPEN}, by {key}",
        )
    report.active["think_tags"] = "opened by the chat template" if opens else "written by the model"
    return True


def _render(config: DictConfig, tokenizer: Any, messages: Any, is_turn: bool = True) -> str:
    node = OmegaConf.select(config, "data.apply_chat_template_kwargs") or {}
    extra = dict(OmegaConf.to_container(node, resolve=True)) if OmegaConf.is_config(node) else dict(node)
    for name in ("tokenize", "return_dict", "return_tensors", "add_generation_prompt"):
        extra.pop(name, None)
    return str(tokenizer.apply_chat_template(messages, add_generation_prompt=is_turn, tokenize=False, **extra))


def _check_prompts(config: DictConfig, name: str, split: Split, tokenizer: Any, report: Report) -> None:
    limit, key = config.data.max_prompt_length, f"data.{name}_files"
    too_long = []
    for where, messages in split.prompts:
        try:
            text = _render(config, tokenizer, messages)
        except Exception as error:  # see above
            report.add(key, f"{where}: the chat template fails on its prompt: {one_line(str(error))}; correct the row")
            return
        size = len(tokenizer.encode(text, add_special_tokens=False))
        if isinstance(limit, int) and size > limit:
            too_long.append((where, size))
    if not too_long:
        return
    where, size = max(too_long, key=lambda item: item[1])
    share = f"{len(too_long)} of the first {len(split.prompts)} rows of {key}"
    if config.data.filter_overlong_prompts:
        report.notes.append(f"{share} have prompts above data.max_prompt_length={limit}; verl leaves them out")
    else:
        report.add(
            "data.max_prompt_length",
            f"data.max_prompt_length={limit}, but {share} have longer prompts, the longest of {size} tokens ({where}), "
            f"and verl would cut off their beginning; give at least {size}, or data.filter_overlong_prompts=true",
        )
