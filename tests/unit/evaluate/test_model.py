import json
import shutil
from pathlib import Path

import pytest

from laser_verl.commands import BadInput, CommandError, WrongUsage
from laser_verl.data import tiny_world
from laser_verl.evaluate.model import Model, find_model, fingerprint, load_tokenizer, refuse_too_long
from laser_verl.verl_ext import merge


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_world.write_model(tmp_path / "model")


def test_a_hugging_face_folder(model: Path) -> None:
    found = find_model(str(model))
    assert (found.name, found.folder, found.context_tokens) == ("model", model, 512)


def test_the_fingerprint_is_of_the_contents(model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(model, tmp_path / "elsewhere")
    assert fingerprint(copy, "template") == fingerprint(model, "template")
    assert fingerprint(copy, "other") != fingerprint(model, "template")
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    for place in (-1, len(data) // 2):
        changed = data.copy()
        changed[place] ^= 1
        weights.write_bytes(changed)
        assert fingerprint(copy, "template") != fingerprint(model, "template")


def test_the_fingerprint_of_large_weights_is_of_blocks_from_all_over_them(model: Path) -> None:
    # 64 blocks of 32 KiB begin every (10 MiB - 32 KiB) / 63 = 162 KiB; the middle of the file is between two of them
    data = bytearray(10 << 20)
    weights = model / "model.safetensors"
    found = []
    for place in (None, 0, 5 * ((10 << 20) - (1 << 15)) // 63, len(data) - 1, (len(data) - 1) // 2):
        changed = data.copy()
        if place is not None:
            changed[place] = 1
        weights.write_bytes(changed)
        found.append(fingerprint(model, ""))
    assert len(set(found)) == 4
    assert found[0] == found[4]


def test_config_of_a_model_with_images(model: Path) -> None:
    (model / "config.json").write_text('{"text_config": {"max_position_embeddings": 77}}')
    assert find_model(str(model)).context_tokens == 77


def test_no_folder(tmp_path: Path) -> None:
    for name in (str(tmp_path / "none"), "one", "a/b/c"):
        with pytest.raises(WrongUsage, match=r"is no folder; give one with config.json and weights"):
            find_model(name)


def test_a_name_on_the_hub_without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(
        BadInput, match=r"MODEL nobody/nothing is no folder, and cannot be fetched .* hf download nobody"
    ):
        find_model("nobody/nothing")


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no model"):
        find_model(str(tmp_path))
    (tmp_path / "global_step_20").mkdir()
    with pytest.raises(BadInput, match=r"such as .*global_step_20"):
        find_model(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("config.json", "{", "config.json cannot be read"),
        ("config.json", "[]", "config.json cannot be read"),
        ("config.json", '{"max_position_embeddings": "many"}', "config.json cannot be read"),
        ("config.json", "{}", "does not say max_position_embeddings"),
        ("model.safetensors", None, "holds no weights"),
    ],
)
def test_an_incomplete_folder(model: Path, name: str, text: str | None, words: str) -> None:
    (model / name).unlink()
    if text is not None:
        (model / name).write_text(text)
    with pytest.raises(BadInput, match=words):
        find_model(str(model))


def test_weights_that_were_cut_off_or_are_a_link_to_nowhere(model: Path) -> None:
    weights = model / "model.safetensors"
    whole = weights.read_bytes()
    for data in (whole[:-1], whole[:1000], b""):
        weights.write_bytes(data)
        with pytest.raises(BadInput, match=r"model.safetensors cannot be read: .*; was it copied whole\?"):
            find_model(str(model))
    weights.unlink()
    weights.symlink_to("nowhere")
    with pytest.raises(BadInput, match=r"model.safetensors cannot be read: .*No such file"):
        find_model(str(model))


def test_a_file_of_weights_that_the_index_names_is_missing(model: Path) -> None:
    index = model / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}')
    with pytest.raises(BadInput, match=r"model-00002-of-00002.safetensors cannot be read"):
        find_model(str(model))
    for text in ("{", "{}", "[]"):
        index.write_text(text)
        with pytest.raises(BadInput, match=r"index.json cannot be read"):
            find_model(str(model))
    index.write_text('{"weight_map": {"a": "model.safetensors"}}')
    assert find_model(str(model)).folder == model


def test_a_tokenizer_that_cannot_chat_or_cannot_be_read(model: Path) -> None:
    (model / "chat_template.jinja").unlink()
    with pytest.raises(BadInput, match="has no chat template"):
        load_tokenizer(find_model(str(model)))
    (model / "tokenizer.json").write_text("{")
    with pytest.raises(BadInput, match="tokenizer cannot be read"):
        load_tokenizer(find_model(str(model)))


def test_more_tokens_than_the_model_reads() -> None:
    model = Model("m", Path("m"), 100)
    assert refuse_too_long(model, [[1] * 10, [1] * 20], 80) == 100
    with pytest.raises(WrongUsage, match=r"--max-tokens 81: the longest prompt has 20 .* give at most --max-tokens 80"):
        refuse_too_long(model, [[1] * 10, [1] * 20], 81)
    with pytest.raises(WrongUsage, match="give problems that it can read"):
        refuse_too_long(model, [[1] * 100], 1)


def checkpoint(folder: Path, model: Path, backend: str) -> Path:
    """Config and tokenizer of a checkpoint as verl lays it out."""
    actor = folder / "global_step_7" / "actor"
    huggingface = actor / "huggingface" if backend == "fsdp" else actor / "model" / "huggingface"
    shutil.copytree(model, huggingface, ignore=shutil.ignore_patterns("*.safetensors"))
    if backend == "fsdp":
        (actor / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 1, "world_size": 1}))
    return actor


@pytest.mark.parametrize("backend", ["fsdp", "megatron"])
def test_weights_that_verl_saved_for_hugging_face_are_taken_as_they_are(
    tmp_path: Path, model: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = checkpoint(tmp_path, model, backend)
    (huggingface,) = (path.parent for path in actor.rglob("config.json"))
    shutil.copy(model / "model.safetensors", huggingface)
    monkeypatch.setattr(merge, "_run_merger", None)
    for given in (actor, actor.parent):
        found = find_model(str(given))
        assert (found.name, found.folder) == ("global_step_7", huggingface)


@pytest.mark.parametrize("backend", ["fsdp", "megatron"])
def test_a_checkpoint_is_merged_once_into_the_cache(
    tmp_path: Path, model: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = checkpoint(tmp_path, model, backend)
    calls = []

    def run_merger(actor: Path, backend: str, huggingface: Path, target: Path) -> None:
        calls.append((backend, huggingface.relative_to(actor)))
        shutil.copytree(model, target)

    monkeypatch.setattr(merge, "_run_merger", run_merger)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first, second = find_model(str(actor.parent)), find_model(str(actor))
    assert first == second
    assert first.folder.is_relative_to(tmp_path / "cache" / "laser_verl" / "merged")
    expected = "huggingface" if backend == "fsdp" else "model/huggingface"
    assert calls == [(backend, Path(expected))]
    # nothing half-merged is left beside it
    assert [path.name for path in first.folder.parent.iterdir()] == [first.folder.name]
    # the next step of the run writes other files under the same names
    (actor / "model_world_size_1_rank_0.pt").write_text("other")
    assert find_model(str(actor)).folder != first.folder


def test_a_lora_adapter_is_not_evaluated_without_itself(tmp_path: Path, model: Path) -> None:
    actor = checkpoint(tmp_path, model, "fsdp")
    (actor / "lora_train_meta.json").write_text("{}")
    with pytest.raises(BadInput, match="LoRA adapter"):
        find_model(str(actor))


def test_a_cache_that_cannot_be_written(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    actor = checkpoint(tmp_path, model, "fsdp")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CommandError, match=r"file/laser_verl/merged cannot be written: Not a directory; .*XDG_CACHE_"):
        find_model(str(actor))


def test_a_checkpoint_of_megatron_whose_config_is_damaged(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    actor = checkpoint(tmp_path, model, "megatron")
    for text in ("{", "[]"):
        (actor / "model" / "huggingface" / "config.json").write_text(text)
        with pytest.raises(BadInput, match=r"huggingface/config.json cannot be read"):
            find_model(str(actor))
