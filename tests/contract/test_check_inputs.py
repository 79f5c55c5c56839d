"""`laser-verl check` on what a run reads: data files, reward functions, chat templates, tokenizers, model folders."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from laser_verl.verl_ext.checks import Report, check
from tests.contract.good_run import KWARGS, good_arguments, write_world

TEMPLATE = "actor_rollout_ref.model.custom_chat_template"
MESSAGES = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    return good_arguments(folder)


def write_rows(path: Path, *, source: str = "made/up", gold: object = "7", rows: int = 3) -> Path:
    record = {"data_source": source, "prompt": [{"role": "user", "content": "aAbB>a"}]}
    golds = [{"style": "rule", "ground_truth": "7"}] * (rows - 1) + [{"style": "rule", "ground_truth": gold}]
    pq.write_table(pa.Table.from_pylist([{**record, "reward_model": value} for value in golds]), path)
    return path


def message(report: Report, field: str) -> str:
    found = [mistake.message for mistake in report.mistakes if mistake.field == field]
    assert len(found) == 1, report.mistakes
    assert "\n" not in found[0]
    return found[0]


def test_data_mistakes_name_file_and_row(good: list[str], tmp_path: Path) -> None:
    report = check([*good, "data.train_files=nowhere.parquet", f"data.val_files={__file__}"])
    assert "no file" in message(report, "data.train_files")
    assert ".parquet" in message(report, "data.val_files")

    broken = tmp_path / "broken.parquet"
    broken.write_text("not parquet")
    blank = write_rows(tmp_path / "blank.parquet", gold=" ", rows=3)
    report = check([*good, f"data.train_files={broken}", f"data.val_files={blank}"])
    assert "not a readable parquet" in message(report, "data.train_files")
    assert "row 2 (from 0) has no reward_model.ground_truth" in message(report, "data.val_files")

    code = write_rows(tmp_path / "code.parquet", source="codecontests", rows=5)
    report = check([*good, f"data.train_files={code}", f"data.val_files={code}", "data.max_prompt_length=3"])
    assert "running code" in message(report, "data.train_files")
    assert "data.train_batch_size=8 is above the 5 rows" in message(report, "data.train_batch_size")
    assert sum("longer prompts" in mistake.message for mistake in report.mistakes) == 2


def test_stock_manager_refuses_sources_that_verl_cannot_score(good: list[str], tmp_path: Path) -> None:
    gsm8k = write_rows(tmp_path / "gsm8k.parquet", source="openai/gsm8k")
    stock = [text for text in good[4:] if not text.startswith(("method", "hardware", KWARGS))]
    one_gpu = ["trainer.n_gpus_per_node=1", "actor_rollout_ref.rollout.tensor_model_parallel_size=1"]
    report = check([*stock, *one_gpu, "actor_rollout_ref.rollout.name=vllm", f"data.val_files={gsm8k}"])
    assert [mistake.field for mistake in report.mistakes] == ["data.train_files"]
    assert "tiny_world/easy, tiny_world/hard, tiny_world/medium" in message(report, "data.train_files")
    assert any("shapes nothing" in note for note in report.notes)


def test_verdict_sources_are_checked_without_running_them(good: list[str], tmp_path: Path) -> None:
    reward = tmp_path / "reward.py"
    reward.write_text("raise SystemExit('must not run')\ndef compute_scores(data_source, solution_str): ...\n")
    node = "reward.custom_reward_function"
    report = check([*good, f"{node}.path={reward}"])
    assert "did you mean compute_scores?" in message(report, f"{node}.name")
    report = check([*good, f"{node}.path={reward}", f"{node}.name=compute_scores"])
    assert "add ground_truth, extra_info" in message(report, f"{node}.name")
    loop = "actor_rollout_ref.rollout.agent.default_agent_loop=tool_agent"
    report = check([*good, "reward.reward_model.enable=true", loop, "+laser.seeded_rollout=true"])
    assert "+reward.reward_kwargs.correct_at=0.5" in message(report, f"{KWARGS}.correct_at")
    assert "tool_agent" in message(report, "laser.seeded_rollout")
    assert "reward.reward_model.model_path" in [mistake.field for mistake in report.mistakes]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (MESSAGES + "<think></think>", "opens and closes the thought"),
        (MESSAGES + "<think>Okay, ", "goes on with text"),
        (MESSAGES.replace("m.content", "m.content.replace('<think>', '')"), "removes think tags"),
    ],
)
def test_chat_templates_that_cannot_carry_think_tags(good: list[str], template: str, words: str) -> None:
    report = check([*good, f'{TEMPLATE}="{template}"'])
    assert [mistake.field for mistake in report.mistakes] == [TEMPLATE]
    assert words in message(report, TEMPLATE)


def test_chat_template_that_opens_the_thought_is_fine(good: list[str]) -> None:
    report = check([*good, f'{TEMPLATE}="{MESSAGES}<think>"', "+laser.seeded_rollout=true", "+laser.seed=3"])
    assert report.mistakes == []
    assert report.active["think_tags"] == "opened by the chat template"
    assert report.active["seeded"] == 3


def test_tokenizer_that_drops_think_tags(good: list[str], tmp_path: Path) -> None:
    words = {"<unk>": 0, "<eos>": 1, r"\boxed{7}": 2}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>", pad_token="<eos>")
    fast.chat_template = MESSAGES
    fast.save_pretrained(tmp_path)
    path = f"actor_rollout_ref.model.tokenizer_path={tmp_path}"
    report = check([*good, path])
    assert "turns '<think>x</think>' into" in message(report, "actor_rollout_ref.model.path")
    assert check([*good, path, f"+{KWARGS}.thinking=boxed"]).ok


def test_a_model_that_is_not_here_is_a_note_or_a_mistake(good: list[str]) -> None:
    key = "actor_rollout_ref.model.path"
    report = check([*good, f"{key}=someone/model-that-is-not-cached"])
    assert report.ok
    assert any("not checked" in note for note in report.notes)
    assert "no folder" in message(check([*good, f"{key}=./nowhere"]), key)
