import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from laser_verl.commands import BadInput, CommandError, WrongUsage
from laser_verl.data import tiny_world
from laser_verl.evaluate.run import Stopped, evaluate, report
from laser_verl.evaluate.samples import read
from tests.unit.evaluate.engines import BOX, FakeTexts, in_place_of_vllm, problems, request_of

REPORT = ("summary.json", "verdicts.jsonl", "table.md", "evaluation.png")


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> FakeTexts:
    return in_place_of_vllm(monkeypatch)


def silent(text: str) -> None:
    pass


def reports(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in REPORT]


def test_an_evaluation_from_beginning_to_report(tmp_path: Path, texts: FakeTexts) -> None:
    summary = evaluate(request_of(tmp_path), silent)
    tiny = summary["results"][0]["benchmarks"]["tiny"]
    assert (tiny["problems"], tiny["responses"]) == (5, 15)
    assert [one["budget"] for one in tiny["budgets"]] == [0, 4]
    (record,) = read([tmp_path / "out"])
    samples = list(record.samples.values())
    assert len(samples) == 45
    assert len({(one.key, one.sample) for one in samples}) == 15
    assert len({one.seed for one in samples}) == 45
    for one in samples:
        assert one.thinking_tokens <= one.tokens
        if one.budget is not None and one.response is not None:
            # tag, thought, tag, cue, letter, brace, end
            assert one.tokens <= one.budget + 6
    assert {one.max_tokens for one in texts.requests if one.prompt[-1] == BOX} == {8}
    # up to 14 tokens of a response stay, around its thought two tags and the cue, and 8 are for the answer: 25
    assert texts.options is not None
    assert texts.options.context_tokens == max(one.prompt_tokens for one in samples) + 25
    assert not (tmp_path / "out" / ".writable.part").exists()


def test_a_thought_that_is_longer_than_a_response_may_be_is_closed(tmp_path: Path, texts: FakeTexts) -> None:
    evaluate(request_of(tmp_path, max_tokens=4, budgets="100"), silent)
    (record,) = read([tmp_path / "out"])
    for one in record.samples.values():
        if one.budget is None and one.finish == "length" and "</think>" not in one.response:
            closed = record.samples[one.benchmark, one.key, one.sample, 100].response
            assert closed.startswith(one.response + "</think>\\boxed{")
            break
    else:
        pytest.fail("no response was cut off in its thought")


def test_the_same_from_recorded_samples(tmp_path: Path, texts: FakeTexts) -> None:
    summary = evaluate(request_of(tmp_path), silent)
    assert report([tmp_path / "out"], tmp_path / "again", silent) == summary
    assert reports(tmp_path / "again") == reports(tmp_path / "out")
    # also from parts of it
    header, *lines = (tmp_path / "out" / "samples.jsonl").read_text().splitlines(keepends=True)
    for number in range(2):
        (tmp_path / f"{number}.jsonl").write_text("".join([header, *lines[number::2]]))
    report([tmp_path / "1.jsonl", tmp_path / "0.jsonl"], tmp_path / "parts", silent)
    assert reports(tmp_path / "parts") == reports(tmp_path / "out")


def test_an_interrupted_evaluation_goes_on_with_what_is_missing(tmp_path: Path, texts: FakeTexts) -> None:
    evaluate(request_of(tmp_path), silent)
    unbroken = reports(tmp_path / "out")
    again = request_of(tmp_path, out=tmp_path / "again")
    for number in (4, 20):  # among the responses, and among the answers after a cut
        texts.requests, texts.interrupt_after = [], number
        with pytest.raises(Stopped, match=r"samples.jsonl keeps \d+ samples, the same command goes on") as caught:
            evaluate(again, silent)
        assert caught.value.exit_code == 130
        assert not (again.out / "summary.json").exists()
    texts.requests, texts.interrupt_after = [], None
    said: list[str] = []
    evaluate(again, said.append)
    assert reports(again.out) == unbroken
    assert any("holds" in text and "going on from there" in text for text in said)
    # and a third time there is nothing to do
    texts.requests = []
    evaluate(again, silent)
    assert texts.requests == []


def test_more_samples_and_benchmarks_add_to_what_is_there(tmp_path: Path, texts: FakeTexts) -> None:
    evaluate(request_of(tmp_path, budgets=None), silent)
    texts.requests = []
    on = [problems(tmp_path), problems(tmp_path, 2, "other")]
    summary = evaluate(request_of(tmp_path, budgets=None, samples=4, on=on), silent)
    assert len(texts.requests) == 5 + 2 * 4
    found = summary["results"][0]["benchmarks"]
    assert {name: one["responses"] for name, one in found.items()} == {"tiny": 20, "other": 8}


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path, texts: FakeTexts) -> None:
    evaluate(request_of(tmp_path, budgets=None), silent)
    before = reports(tmp_path / "out")
    with pytest.raises(BadInput, match=r"temperature is 0\.6 there and 1\.0 now"):
        evaluate(request_of(tmp_path, budgets=None, temperature=1.0), silent)
    assert reports(tmp_path / "out") == before


def test_another_model_in_the_same_folder_is_refused(tmp_path: Path, texts: FakeTexts) -> None:
    model = tiny_world.write_model(tmp_path / "model")
    request = request_of(tmp_path, budgets=None, model=str(model))
    evaluate(request, silent)
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    with pytest.raises(BadInput, match=r"model\.fingerprint is \w+ there and \w+ now"):
        evaluate(request, silent)


def test_a_gold_that_was_changed_meanwhile_is_refused(tmp_path: Path, texts: FakeTexts) -> None:
    path = tmp_path / "quiz.jsonl"
    for gold in ("a", "b"):
        path.write_text(json.dumps({"problem": "Ab>a", "answer": gold}) + "\n")
        request = request_of(tmp_path, on=[str(path)], template="plain")
        if gold == "a":
            evaluate(request, silent)
    with pytest.raises(BadInput, match="has the gold 'a' there and 'b' now"):
        evaluate(request, silent)


def test_a_file_that_has_lost_a_problem_meanwhile_is_refused(tmp_path: Path, texts: FakeTexts) -> None:
    path = tmp_path / "quiz.jsonl"
    request = request_of(tmp_path, on=[str(path)], template="plain", budgets=None)
    for names in ("a", "ab", "bc"):
        path.write_text("".join(json.dumps({"problem": f"Ab>{name}", "answer": name}) + "\n" for name in names))
        if names != "bc":
            assert evaluate(request, silent)["results"][0]["benchmarks"]["quiz"]["problems"] == len(names)
    texts.requests = []
    with pytest.raises(BadInput, match="a problem of quiz is there and not in its file now: 'Ab>a'; give another --o"):
        evaluate(request, silent)
    assert texts.requests == []


def test_a_prompt_that_the_chat_template_refuses(tmp_path: Path, texts: FakeTexts) -> None:
    model = tiny_world.write_model(tmp_path / "model")
    (model / "chat_template.jinja").write_text("{{ raise_exception('no role system') }}")
    with pytest.raises(BadInput, match=r"tiny: the model's chat template refuses a prompt \(no role system\): "):
        evaluate(request_of(tmp_path, model=str(model)), silent)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_tokens": 32768}, "--max-tokens 32768: the longest prompt has"),
        (
            {"max_tokens": 400, "budgets": "400", "answer_tokens": 100},
            "--answer-tokens 100: a prompt, a thought of 400",
        ),
        ({"max_tokens": 478, "budgets": "9999", "answer_tokens": 1000}, "give smaller --budgets"),
    ],
)
def test_more_tokens_than_the_model_reads(
    tmp_path: Path, texts: FakeTexts, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(WrongUsage, match=words):
        evaluate(request_of(tmp_path, **changes), silent)
    assert texts.requests == []
    assert not (tmp_path / "out" / "samples.jsonl").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path, texts: FakeTexts) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match=r"--out .*file/out cannot be written: Not a directory"):
        evaluate(request_of(tmp_path, out=tmp_path / "file" / "out"), silent)


def test_without_matplotlib_there_is_no_picture_but_all_the_rest(
    tmp_path: Path, texts: FakeTexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    said: list[str] = []
    evaluate(request_of(tmp_path, budgets=None), said.append)
    assert "no picture, which needs matplotlib.figure: pip install 'laser-verl[report]'" in said[-1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(["samples.jsonl", *REPORT[:3]])


def test_a_full_disk_leaves_no_summary_that_is_cut_off(
    tmp_path: Path, texts: FakeTexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(tmp_path, budgets=None)
    evaluate(request, silent)
    before = reports(request.out)

    def fail(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(CommandError, match=r"summary.json cannot be written: No space left"):
        evaluate(replace(request, samples=4), silent)
    assert reports(request.out) == before
    assert sorted(path.name for path in request.out.iterdir()) == sorted(["samples.jsonl", *REPORT])
