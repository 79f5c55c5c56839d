"""`laser-verl check` on what a run reads: data files, reward functions, chat templates, tokenizers, model folders."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from laser_verl.scoring import verl_score
from laser_verl.scoring.formats import ENTRY_POINTS
from laser_verl.verl_ext.checks import check
from tests.contract.good_run import KWARGS, fields, has_note, message

TEMPLATE = "actor_rollout_ref.model.custom_chat_template"
MESSAGES = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"


def write_rows(path: Path, *, source: str = "math500", gold: object = "7", rows: int = 3) -> Path:
    record = {"data_source": source, "prompt": [{"role": "user", "content": "aAbB>a"}]}
    golds = [{"style": "rule", "ground_truth": "7"}] * (rows - 1) + [{"style": "rule", "ground_truth": gold}]
    pq.write_table(pa.Table.from_pylist([{**record, "reward_model": value} for value in golds]), path)
    return path


def write_bare(path: Path) -> Path:
    """Prompts and nothing else."""
    pq.write_table(pa.Table.from_pylist([{"prompt": [{"role": "user", "content": "aAbB>a"}]}] * 8), path)
    return path


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


OURS = "reward.custom_reward_function"
OPTIONS = f"{OURS}.reward_kwargs"


@pytest.mark.parametrize(
    ("option", "field", "words"),
    [
        ("thinking=boxd", "thinking", "thinking='boxd' is unknown; known: deepseek, boxed"),
        ("thinkng=boxed", "thinkng", "unknown option 'thinkng'; did you mean 'thinking'?"),
        ("scorers={default: mth}", "scorers", "scorers.default='mth' is unknown"),
        ("scorers={default: {path: mine.py}}", "scorers", "names a function, which this one cannot call"),
        ("prompt_opens_think=1", "prompt_opens_think", "prompt_opens_think=1 must be true or false"),
        *(
            (f"verify_timeout_seconds={value}", "verify_timeout_seconds", "must be in (0, 600], e.g. 5")
            for value in ("0", "700", "true", "null", "'5'")
        ),
    ],
)
def test_options_of_our_reward_function(good: list[str], option: str, field: str, words: str) -> None:
    report = check([*good, f"{OURS}.path=pkg://laser_verl.scoring.verl_score", f"+{OPTIONS}.{option}"])
    assert fields(report) == [f"{OPTIONS}.{field}"]
    text = message(report, f"{OPTIONS}.{field}")
    assert text.startswith(OPTIONS)
    assert words in text


def test_our_reward_function_with_sound_options(good: list[str]) -> None:
    options = "{thinking: boxed, prompt_opens_think: true, verify_timeout_seconds: 5, scorers: {my/*: exact}}"
    path = f"{OURS}.path=pkg://laser_verl.scoring.verl_score"
    for more in ([], [f"+{OPTIONS}={options}"]):
        report = check([*good, path, *more])
        assert report.mistakes == []
        assert not has_note(report, "has to return a dict with score and acc")
    several = check(
        [*good, f"{OURS}.path={verl_score.__file__}", f"+{OPTIONS}={{thinking: boxd, a: 1, prompt_opens_think: 1}}"]
    )
    assert sorted(fields(several)) == [f"{OPTIONS}.{name}" for name in ("a", "prompt_opens_think", "thinking")]


@pytest.mark.parametrize("value", ["null", "5", "[1]"])
def test_options_of_a_reward_function_are_a_mapping(good: list[str], tmp_path: Path, value: str) -> None:
    reward = tmp_path / "reward.py"
    reward.write_text("def compute_score(**kwargs): ...\n")
    for path in ("pkg://laser_verl.scoring.verl_score", reward):
        report = check([*good, f"{OURS}.path={path}", f"+{OPTIONS}={value}"])
        assert fields(report) == [OPTIONS]
        assert "must be a mapping; leave it out for none" in message(report, OPTIONS)
    # of a function of the user's, the options are the user's business
    report = check([*good, f"{OURS}.path={reward}", f"+{OPTIONS}.thinkng=boxed"])
    assert report.mistakes == []
    assert has_note(report, "has to return a dict with score and acc")


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("never", "1 / 0", "raised ZeroDivisionError"),
        ("on_text", "Parsed(False, None) if not response else response.no_such", "raised AttributeError"),
        ("opened", "Parsed(opens or 0, None) if opens else Parsed(False, 1)", "returned Parsed("),
        ("fine", "Parsed(False, None)", None),
    ],
)
def test_a_format_is_tried(
    good: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, line: str, words: str | None
) -> None:
    source = f"from laser_verl.scoring.formats import Parsed\ndef read(response, opens):\n    return {line}\n"
    (tmp_path / f"package_{name}.py").write_text(source)
    info = tmp_path / f"package_{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: package_{name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{name} = package_{name}:read\n")
    monkeypatch.syspath_prepend(tmp_path)
    ours = f"{OURS}.path=pkg://laser_verl.scoring.verl_score"
    for node, more in ((KWARGS, []), (OPTIONS, [ours])):
        report = check([*good, *more, f"+{node}.thinking={name}"])
        assert fields(report) == [f"{node}.thinking"] * (words is not None)
        if words:
            assert f"{node}.thinking='{name}': package_{name}" in message(report, f"{node}.thinking")
            assert words in message(report, f"{node}.thinking")


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
    assert not check([*good, path, f"+{KWARGS}.thinking=answer_tag"]).ok


def test_a_model_that_is_not_here_is_a_note_or_a_mistake(good: list[str]) -> None:
    key = "actor_rollout_ref.model.path"
    report = check([*good, f"{key}=someone/model-that-is-not-cached"])
    assert report.ok
    assert any("not checked" in note for note in report.notes)
    assert "no folder" in message(check([*good, f"{key}=./nowhere"]), key)


def test_rows_without_gold_where_a_reward_model_scores(good: list[str], tmp_path: Path) -> None:
    bare = write_bare(tmp_path / "bare.parquet")
    (path,) = (text.partition("=")[2] for text in good if text.startswith("actor_rollout_ref.model.path"))
    model = ["reward.reward_model.enable=true", f"reward.reward_model.model_path={path}"]
    rows = [f"data.train_files={bare}", f"data.val_files={bare}", *model]
    assert check([*good, *rows, f"+{KWARGS}.correct_at=0.5"]).mistakes == []
    assert check([*good, *rows, "reward.reward_manager.name=naive"]).mistakes == []
    # A function is handed both.
    reward = tmp_path / "reward.py"
    reward.write_text("def compute_score(data_source, solution_str, ground_truth, extra_info): ...\n")
    report = check([*good, *rows, f"reward.custom_reward_function.path={reward}"])
    assert [mistake.field for mistake in report.mistakes] == [*["data.train_files"] * 2, *["data.val_files"] * 2]


def test_rows_without_gold_where_an_agent_loop_may_score(good: list[str], tmp_path: Path) -> None:
    bare = write_bare(tmp_path / "bare.parquet")
    rows, loop = [*good, f"data.train_files={bare}"], "actor_rollout_ref.rollout.agent.default_agent_loop"
    report = check([*rows, f"{loop}=mine", f"+{KWARGS}.correct_at=0.5"])
    assert report.mistakes == []
    assert has_note(report, "has no column reward_model", "agent loop")
    # verl's own loops leave scoring to the reward manager.
    for gold_needed in ([f"{loop}=mine"], [f"{loop}=tool_agent", f"+{KWARGS}.correct_at=0.5"]):
        assert not check([*rows, *gold_needed]).ok


def test_images_are_read_for_the_first_rows_only(good: list[str], tmp_path: Path) -> None:
    row = {
        "prompt": [{"role": "user", "content": "aAbB>a"}],
        "data_source": "math",
        "reward_model": {"ground_truth": "7"},
    }
    path = tmp_path / "images.parquet"
    pictured = [{**row, "images": [{"bytes": b"7"}]} for _ in range(128)]
    pq.write_table(pa.Table.from_pylist(pictured), path, row_group_size=64)
    group = pq.ParquetFile(path).metadata.row_group(1)
    (images,) = (
        column for column in map(group.column, range(group.num_columns)) if column.path_in_schema.startswith("images")
    )
    # Whoever reads the last 64 images stumbles.
    with path.open("r+b") as file:
        file.seek(images.dictionary_page_offset)
        file.write(b"\xff" * images.total_compressed_size)
    report = check([*good, f"data.train_files={path}"])
    assert report.mistakes == []
    assert report.active["data"]["train"]["rows"] == 128


def test_rows_with_images_are_told_by_the_column_that_verl_reads(good: list[str], tmp_path: Path) -> None:
    # A prompt beyond max_prompt_length=64, whose length only the processor of its images could tell.
    row = {
        "prompt": [{"role": "user", "content": "a" * 99}],
        "data_source": "math",
        "reward_model": {"ground_truth": "7"},
    }
    path = tmp_path / "pictures.parquet"
    pq.write_table(pa.Table.from_pylist([{**row, "pictures": [{"bytes": b"7"}]}] * 8), path)
    pictured = [*good, f"data.train_files={path}"]
    assert check([*pictured, "data.image_key=pictures"]).mistakes == []
    assert "longer prompts" in message(check(pictured), "data.max_prompt_length")


@pytest.mark.parametrize("indent", [None, 2])
def test_json_array_is_read_as_verl_reads_it(good: list[str], tmp_path: Path, indent: int | None) -> None:
    row = {
        "prompt": [{"role": "user", "content": "aAbB>a"}],
        "data_source": "math",
        "reward_model": {"ground_truth": "7"},
    }
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([row, {**row, "extra_info": {"index": 1}}] * 4, indent=indent))
    report = check([*good, f"data.train_files={path}"])
    assert report.mistakes == []
    assert report.active["data"]["train"] == {"rows": 8, "data_sources": ["math"]}
    path.write_text(json.dumps([row, {**row, "reward_model": {"ground_truth": None}}]))
    assert "row 1 (from 0) has no" in message(check([*good, f"data.train_files={path}"]), "data.train_files")
    path.write_text("[{")
    assert "not a readable json" in message(check([*good, f"data.train_files={path}"]), "data.train_files")
