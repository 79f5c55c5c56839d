"""Data files are read row by row, and a broken one is named with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laser_verl.commands import BadInput
from laser_verl.data.prepare import reading
from laser_verl.data.prepare.reading import read_rows


def read(path: Path, text: str | bytes) -> list[dict[str, Any]]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_rows(path))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"a": 1}\n\n  \n{"a": "é\\n"}\n'),
        ("a.jsonl", '\ufeff{"a": 1}\n{"a": "é\\n"}'),
        ("a.json", '[{"a": 1}, {"a": "é\\n"}]'),
        ("a.json", '\n [\n {"a": 1\n}\n,{"a": "é\\n"}]\n'),
        ("a.json", '{"a": 1}\n{"a": "é\\n"}\n'),
        ("a.json", '{\n "a": 1\n}\n\n{"a": \n"é\\n"}'),
    ],
)
def test_json_is_read_in_all_its_forms(name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_CHARACTERS_AT_A_TIME", 3)
    assert read(tmp_path / name, text) == [{"a": 1}, {"a": "é\n"}]


def test_csv_is_text_and_may_have_lines_in_its_fields(tmp_path: Path) -> None:
    text = 'problem,gold\n"a, ""b""\nc",007\nd,\n'
    assert read(tmp_path / "a.csv", text) == [{"problem": 'a, "b"\nc', "gold": "007"}, {"problem": "d", "gold": ""}]
    assert read(tmp_path / "a.csv", "a,,\n1,,\n") == [{"a": "1", "": ""}]


def test_of_parquet_only_the_wanted_columns_are_read(tmp_path: Path) -> None:
    rows = [{"a": number, "b": {"c": [number]}, "d": "x" * 1000} for number in range(3000)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert list(read_rows(tmp_path / "a.parquet", {"b"})) == [{"b": {"c": [number]}} for number in range(3000)]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n', "line 2: no JSON"),
        ("a.jsonl", '{"a": 1}\n\n{"a": "cut he', "line 3: no JSON (Unterminated string"),
        ("a.jsonl", "[1]\n", 'line 1: a row is list; give objects, as {"problem"'),
        ("a.json", '[{"a": 1},\n{"a": 2}\n', "line 3: no JSON (the array is not closed); the file is broken or cut"),
        ("a.json", '[{"a": 1},\n\n{"a": nothing}]', "line 3: no JSON (Expecting value)"),
        ("a.json", "{}\n7", "line 2: a row is int"),
        ("a.json", '[{"a": 1}]\n[{"a": 2}]\n', "goes on after the end of its array"),
        ("a.json", '[{"a": 1}]' + " " * (1 << 20) + "{}", "goes on after the end of its array"),
        ("a.json", '{"a": 1}\n{"a": ' + "1" * 5000 + "}", "line 2: no JSON (Exceeds the limit"),
        ("a.json", '{"a": ' + "[" * 100_000, "line 1: no JSON (maximum recursion depth"),
        ("a.jsonl", '{"a": 1}\n{"a": ' + "[" * 100_000, "line 2: no JSON (maximum recursion depth"),
        ("a.csv", "a,b,a\n1,2,3\n", "has several columns a; rename all but one of each"),
        ("a.csv", "a,b\n1,2\n3\n", "line 3: the row has other than the 2 fields"),
        ("a.csv", "a,b\n1,2,3\n", "line 2: the row has other than the 2 fields"),
        ("a.csv", 'a\n"b" c\n', "line 2: no CSV"),
        ("a.parquet", "PAR1 or not", "a.parquet is no parquet file, or cut short"),
        ("a.jsonl", b'{"a": "\xff"}\n', "a.jsonl is not text in UTF-8"),
        ("a.txt", "a", "ends in .txt; give a file that ends in .parquet, .jsonl, .json, .csv"),
        ("a.jsonl", "", "a.jsonl holds no rows"),
        ("a.json", "[]", "a.json holds no rows"),
        ("a.csv", "a,b\n", "a.csv holds no rows"),
    ],
)
def test_a_broken_file_is_named_with_its_line(name: str, text: str | bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path / name, text)
    assert words in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_a_parquet_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [json.dumps({"b": "c" * 50})] * 100}), path)
    whole = path.read_bytes()
    for end in (0, 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(BadInput, match=r"is no parquet file, or cut short"):
            list(read_rows(path))
