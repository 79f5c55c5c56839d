"""The file of samples: a line of settings, then a line for each response, written as soon as it is there."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import laser_verl
from laser_verl.commands import BadInput, CommandError, WrongUsage
from laser_verl.evaluate.settings import Settings, differences, from_record

_HEADER = "settings"
_TEXTS = ("benchmark", "key", "source", "question", "finish")
_NUMBERS = ("sample", "seed", "prompt_tokens", "tokens", "thinking_tokens")

Id = tuple[str, str, int, int | None]


@dataclass(frozen=True, slots=True)
class Sample:
    """One response.

    Attributes:
        benchmark: Of the problem.
        key: Of the problem.
        source: The problem's `data_source`, which chooses the scorer.
        question: Last message of the prompt.
        gold: The acceptable answer, or a list of them.
        sample: Which of the problem's samples, from 0.
        budget: Tokens at which the thought was cut; None for the response as it came.
        seed: Of the request.
        opens_think: The prompt ended with the opening think tag.
        prompt_tokens: Length of the prompt.
        tokens: Length of the response, end of text included, as the engine counts it.
        thinking_tokens: Those of them up to the closing think tag, the tag included.
        finish: `stop`, or `length` for a truncated response.
        response: Its text, think tags kept; None where the thought ended before its budget, so that the response
            without a budget stands.
    """

    benchmark: str
    key: str
    source: str
    question: str
    gold: Any
    sample: int
    budget: int | None
    seed: int
    opens_think: bool
    prompt_tokens: int
    tokens: int
    thinking_tokens: int
    finish: str
    response: str | None

    def __post_init__(self) -> None:
        """Refuse values of another kind, as of a line that was written by hand; raises TypeError."""
        for name in _TEXTS:
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} is no text")
        for name in _NUMBERS if self.budget is None else (*_NUMBERS, "budget"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise TypeError(f"{name} is no whole number of 0 or more")
        if self.response is None and self.budget is None:
            raise TypeError("response is missing")

    @property
    def id(self) -> Id:
        """What there can be one of."""
        return self.benchmark, self.key, self.sample, self.budget


@dataclass
class Record:
    """The samples of one model with one choice of settings.

    Attributes:
        settings: The settings.
        samples: The samples by their `id`.
        path: The first file that they were read from.
    """

    settings: Settings
    path: Path
    samples: dict[Id, Sample] = field(default_factory=dict)


class SampleFile:
    """A file of samples that is being written; one process at a time.

    Args:
        path: The file; it may be there from an earlier start.
        settings: The settings of now.

    Raises:
        BadInput: If the file is of other settings or damaged before its last line.
        CommandError: If another process writes to it, or it cannot be written.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.record = Record(settings, path)
        self.notes: list[str] = []
        try:
            self._file: BinaryIO = path.open("a+b")
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}; give another --out") from error
        try:
            self._begin(settings)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> SampleFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def append(self, sample: Sample) -> None:
        """Write a sample so that a kill of this process cannot take it back."""
        self.record.samples[sample.id] = sample
        self._write(asdict(sample))

    def _begin(self, settings: Settings) -> None:
        path = self.record.path
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(f"{path} is being written by another evaluation; wait for it, or stop it") from error
        except OSError as error:
            self.notes.append(f"{path} cannot be locked ({error.strerror}): see that no other evaluation writes to it")
        whole = 0
        for line, is_whole in _lines(path):
            if not is_whole:
                self.notes.append(f"{path}: the last line was cut off, as by a kill; it is dropped")
                self._file.truncate(whole)
                break
            whole += len(line)
        for record in read([path]) if whole else []:
            if changed := differences(record.settings, settings):
                raise BadInput(
                    f"{path} was written with other settings: {'; '.join(changed)}; give another --out, or the "
                    "settings of before"
                )
            self.record.samples |= record.samples
        if not whole:
            self._write({"laser_verl": laser_verl.__version__, _HEADER: settings.as_record()})

    def _close(self) -> None:
        try:
            self._file.close()
        except OSError as error:  # it tries once more what could not be written
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> CommandError:
        return CommandError(f"{self.record.path} cannot be written: {error.strerror}")

    def _write(self, values: dict[str, Any]) -> None:
        # In one call, so that a kill leaves at most one line that is cut off.
        line = json.dumps(values, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass") + b"\n"
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error


def read(paths: Sequence[Path], notes: list[str] | None = None) -> list[Record]:
    """The samples of files; those of equal settings belong together, whichever file they are in.

    Args:
        paths: Files, or folders that hold `samples.jsonl`.
        notes: Takes what was left out.

    Returns:
        One record per choice of settings, in the order of their first lines.

    Raises:
        WrongUsage: If there is no such file.
        BadInput: If a line is no sample, two lines contradict each other, or a file lacks its settings.
    """
    records: list[Record] = []
    for path in paths:
        path = path / "samples.jsonl" if path.is_dir() else path
        record = None
        for number, (line, is_whole) in enumerate(_lines(path), 1):
            where = f"{path}, line {number}"
            if not is_whole and notes is not None:
                notes.append(f"{where} was cut off, as by a kill; it is dropped")
            if not is_whole:
                break
            values = _parsed(line, where)
            if _HEADER in values:
                record = _record_of(records, values, path, where)
            else:
                _add(record, values, where)
        if record is None:
            raise BadInput(f"{path} holds no sample; give a samples.jsonl of an evaluation")
    return records


def _lines(path: Path) -> Iterator[tuple[bytes, bool]]:
    try:
        with path.open("rb") as file:
            for line in file:
                yield line, line.endswith(b"\n")
    except OSError as error:
        raise WrongUsage(
            f"{path} cannot be read: {error.strerror}; give a samples.jsonl of an evaluation, or its folder"
        ) from error


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    try:
        values = json.loads(line.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} is no JSON ({error}); remove the line, and its sample is generated again") from error
    if not isinstance(values, dict):
        raise BadInput(f"{where} is no sample; give a samples.jsonl of an evaluation")
    return values


def _record_of(records: list[Record], values: dict[str, Any], path: Path, where: str) -> Record:
    try:
        settings = from_record(values[_HEADER])
    except TypeError as error:
        raise BadInput(
            f"{where}: the settings are of another version of laser_verl ({values.get('laser_verl')}): {error}"
        ) from error
    for record in records:
        if not differences(record.settings, settings):
            return record
    records.append(Record(settings, path))
    return records[-1]


def _add(record: Record | None, values: dict[str, Any], where: str) -> None:
    if record is None:
        raise BadInput(f"{where}: the settings, which the first line of a samples.jsonl holds, are missing")
    try:
        sample = Sample(**values)
        other = record.samples.setdefault(sample.id, sample)
    except TypeError as error:
        raise BadInput(f"{where} is no sample ({error}); give a samples.jsonl of an evaluation") from error
    if other != sample:
        raise BadInput(
            f"{where} and an earlier line are the same sample ({sample.benchmark}, {sample.key}, {sample.sample}) and "
            "differ; keep one of them"
        )


def refuse_mixed_golds(samples: Iterable[Sample]) -> None:
    """Refuse samples of one problem with different golds, as after a correction of the benchmark's file.

    Args:
        samples: Samples of one record.

    Raises:
        BadInput: If a problem has two golds.
    """
    golds: dict[tuple[str, str], Any] = {}
    for sample in samples:
        gold = golds.setdefault((sample.benchmark, sample.key), sample.gold)
        if gold != sample.gold:
            raise BadInput(
                f"{sample.benchmark}: samples of one problem have the golds {gold!r:.60} and {sample.gold!r:.60}: "
                f"{sample.question!r:.80}; was the benchmark changed? Give another --out, or correct the golds"
            )


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write a file whole or not at all; raises CommandError where that fails."""
    scratch = path.with_name(f".{path.name}.part")
    try:
        scratch.write_bytes(data if isinstance(data, bytes) else data.encode())
        os.replace(scratch, path)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
