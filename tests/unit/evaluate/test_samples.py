import resource
from dataclasses import replace
from pathlib import Path

import pytest

from laser_verl.commands import BadInput, CommandError, WrongUsage
from laser_verl.evaluate.samples import SampleFile, read, refuse_mixed_golds, write_atomically
from laser_verl.evaluate.settings import differences, request_seed
from tests.unit.evaluate.recorded import SETTINGS, lines_of, sample, write


def test_a_new_file_holds_settings_and_what_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    with SampleFile(path, SETTINGS) as file:
        file.append(sample(0, 0))
        # it is there before the file is closed, so that a kill cannot take it back
        assert len(path.read_bytes().splitlines()) == 2
        file.append(sample(0, 1, response="½ \ud800 \u2028"))
    (record,) = read([path])
    assert record.settings == SETTINGS
    assert [one.sample for one in record.samples.values()] == [0, 1]
    assert record.samples["quiz", f"{0:016x}", 1, None].response == "½ \ud800 \u2028"


def test_a_line_that_was_cut_off_is_dropped_with_a_note_and_written_over(tmp_path: Path) -> None:
    path = write(tmp_path / "samples.jsonl", [sample(0, 0), sample(0, 1)])
    path.write_bytes(path.read_bytes()[:-20])
    with SampleFile(path, SETTINGS) as file:
        assert "was cut off" in file.notes[0]
        assert [one.sample for one in file.record.samples.values()] == [0]
        file.append(sample(0, 1))
    assert path.read_text() == "".join(lines_of([sample(0, 0)])) + path.read_text().splitlines(keepends=True)[-1]
    assert len(read([path])[0].samples) == 2


def test_a_file_cut_in_its_first_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text('{"laser_verl": "0", "sett')
    with SampleFile(path, SETTINGS) as file:
        file.append(sample())
    assert len(read([path])[0].samples) == 1


def test_other_settings_are_refused_with_what_differs(tmp_path: Path) -> None:
    path = write(tmp_path / "samples.jsonl", [sample()])
    before = path.read_bytes()
    other = replace(SETTINGS, temperature=1.0, model={"name": "n", "fingerprint": "11"}, engine={"vllm": "0.1"})
    with pytest.raises(BadInput) as caught:
        SampleFile(path, other)
    assert "temperature is 0.6 there and 1.0 now" in str(caught.value)
    assert "model.fingerprint is 00 there and 11 now" in str(caught.value)
    assert "engine.device is cpu there and None now" in str(caught.value)
    assert path.read_bytes() == before


def test_the_same_model_under_another_name_is_the_same() -> None:
    assert differences(SETTINGS, replace(SETTINGS, model={"name": "n", "fingerprint": "00"})) == []


def test_two_evaluations_cannot_write_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    with SampleFile(path, SETTINGS), pytest.raises(CommandError, match="another evaluation"):
        SampleFile(path, SETTINGS)


def test_files_of_equal_settings_are_one_result_and_others_their_own(tmp_path: Path) -> None:
    first = write(tmp_path / "a" / "samples.jsonl", [sample(0, 0), sample(0, 1)])
    second = write(tmp_path / "b.jsonl", [sample(0, 1), sample(1, 0)])
    third = write(tmp_path / "c.jsonl", [sample(0, 0)], replace(SETTINGS, seed=2))
    records = read([first.parent, second, third])
    assert [len(record.samples) for record in records] == [3, 1]
    # and so is what `cat` makes of them
    joined = tmp_path / "joined.jsonl"
    joined.write_text(first.read_text() + third.read_text() + second.read_text())
    assert [len(record.samples) for record in read([joined])] == [3, 1]


def test_contradicting_lines_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [sample(0, 0), sample(0, 0, "8")])
    with pytest.raises(BadInput, match=r"a.jsonl, line 3 and an earlier line are the same sample"):
        read([path])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"response": "7"}\n', "settings, which the first line"),
        ("".join(lines_of([])) + '{"response": "7"}\n', "is no sample"),
        ("".join(lines_of([])) + "{\n" + lines_of([sample()])[1], "line 2 is no JSON"),
        ("[]\n", "is no sample"),
        ("[" * 100_000 + "\n", "line 1 is no JSON"),
        ("", "a.jsonl holds no sample"),
        ('{"laser_verl": "0", "sett', "a.jsonl holds no sample"),
        ("".join(lines_of([sample()])).replace('"tokens": 10', '"tokens": "10"'), "line 2 is no sample .tokens is no"),
        ("".join(lines_of([sample()])).replace('"tokens": 10', '"tokens": -1'), "line 2 is no sample .tokens is no"),
        ("".join(lines_of([sample()])).replace('"tokens": 10', '"tokens": NaN'), "line 2 is no sample .tokens is no"),
        ("".join(lines_of([sample()])).replace('"budget": null', '"budget": "3"'), "line 2 is no sample .budget is no"),
        ("".join(lines_of([sample()])).replace('"key": "', '"key": 7, "k": "'), "line 2 is no sample"),
        ("".join(lines_of([sample()])).replace('"source": "math"', '"source": 7'), "line 2 is no sample .source is no"),
        ("".join(lines_of([sample()])).replace('"name": "m", ', ""), "line 1: the settings .* model has no name"),
        ('{"settings": {"model": {}}}\n', "another version of laser_verl"),
    ],
)
def test_what_is_no_file_of_samples_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(BadInput, match=words):
        read([path])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="No such file"):
        read([tmp_path / "a.jsonl"])


def test_mixed_golds_are_refused() -> None:
    refuse_mixed_golds([sample(0, 0), sample(1, 0, gold="8")])
    with pytest.raises(BadInput, match="'7' and '8'"):
        refuse_mixed_golds([sample(0, 0), sample(0, 1, gold="8")])


def append_many(path: Path) -> None:
    with SampleFile(path, SETTINGS) as file:
        for number in range(10):
            file.append(sample(0, number))


def test_a_disk_that_is_full_keeps_the_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
        with pytest.raises(CommandError, match=r"samples\.jsonl cannot be written"):
            append_many(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(path.read_bytes()) == 1500
    with SampleFile(path, SETTINGS) as file:
        assert len(file.record.samples) == path.read_bytes().count(b"\n") - 1 > 0


def test_nothing_half_written_stays_under_a_final_name(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_atomically(path, "whole")
    with pytest.raises(CommandError, match="cannot be written"):
        write_atomically(tmp_path / "none" / "summary.json", "x")
    assert [one.name for one in tmp_path.iterdir()] == ["summary.json"]


def test_a_seed_depends_on_problem_sample_and_budget() -> None:
    seeds = {
        request_seed(*values)
        for values in ((1, "a", 0), (1, "a", 1), (1, "b", 0), (2, "a", 0), (1, "a", 0, 0), (1, "a", 0, 10))
    }
    assert len(seeds) == 6
    assert all(0 <= seed < 2**31 for seed in seeds)
    # frozen: another value would make recorded evaluations end in other texts
    assert request_seed(1, "a", 0) == FROZEN


FROZEN = 366543922
