"""What the driver makes of a batch: several turns, rows that could not be scored, and the record for the dump."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transfer_queue import KVBatchMeta

from laser_verl.core import Rollouts
from laser_verl.core.keys import prompt_key
from laser_verl.scoring import LAYERS, STATUSES
from laser_verl.verl_ext import driver as module
from laser_verl.verl_ext import dumps, reading
from laser_verl.verl_ext.driver import Driver
from laser_verl.verl_ext.dumps import dump_columns
from laser_verl.verl_ext.layout import Layout
from tests.contract.test_driver import WITH_REWARD_MODEL, driver, nested, verdict


class Queue:
    """The TransferQueue's two calls over a dictionary; the real one needs a Ray cluster (integration tests)."""

    def __init__(self, keys: list[str], **fields: Any) -> None:
        prompts = [[{"role": "user", "content": key.rsplit("_", 2)[0]}] for key in keys]
        self.keys, self.fields = keys, {"raw_prompt": prompts, **fields}

    def kv_batch_get(self, keys: list[str], partition_id: str, select_fields: list[str]) -> dict[str, Any]:
        rows = [self.keys.index(key) for key in keys]
        found = {name: self._pick(name, rows) for name in select_fields if name in self.fields}
        return Fields(found, len(rows))

    def _pick(self, name: str, rows: list[int]) -> Any:
        values = self.fields[name]
        picked = [values[row] for row in rows]
        return nested(*[value.tolist() for value in picked]) if isinstance(values, torch.Tensor) else picked

    def kv_batch_put(self, keys: list[str], partition_id: str, fields: Any) -> None:
        assert keys == self.keys
        self.fields["rm_scores"] = fields["rm_scores"]


class Fields(dict[str, Any]):
    def __init__(self, values: dict[str, Any], size: int) -> None:
        super().__init__(values)
        self.size = size

    def __len__(self) -> int:
        return self.size


class Words:
    """Decodes ids as numbers."""

    all_special_ids = ()

    def decode(self, ids: list[int], **_: Any) -> str:
        return " ".join(map(str, ids))


def use(monkeypatch: pytest.MonkeyPatch, queue: Queue) -> None:
    """Let the driver read from and write to a queue."""
    for each in (module, reading):
        monkeypatch.setattr(each, "tq", queue)


@pytest.fixture
def shaped(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(ours: Driver, keys: list[str], tags: list[dict[str, Any]], **fields: Any) -> dict[str, list[Any]]:
        queue = Queue(keys, **fields)
        use(monkeypatch, queue)
        monkeypatch.setattr(dumps, "tq", queue)
        monkeypatch.setattr(dumps, "decode_visible", lambda tokenizer, ids: tokenizer.decode(ids))
        batch = KVBatchMeta(partition_id="train", keys=keys, tags=tags)
        ours.shape(batch, step=1)
        return dump_columns(batch, Words(), 64, ours.records)

    return run


def two_responses(**changed: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "response_mask": nested([1, 1, 1], [1, 1]),
        "prompts": [torch.tensor([7]), torch.tensor([7])],
        "responses": [torch.tensor([1, 2, 3]), torch.tensor([4, 5])],
        "rm_scores": nested([0.0, 0.0, 1.0], [0.0, -0.5]),
        "extra_fields": [verdict(True, 1.0), verdict(False, -0.5)],
        "reward_model": [{"ground_truth": "b"}, {"ground_truth": "b"}],
        "data_source": ["sums", "sums"],
        "raw_prompt": [[{"role": "user", "content": "?"}]] * 2,
    }
    fields.update(changed)
    for name in ("prompts", "responses"):
        fields[name] = nested(*[ids.tolist() for ids in fields[name]])
    return fields


KEYS, TAGS = ["p_0_0", "p_1_0"], [{"response_len": 3}, {"response_len": 2}]


def test_the_dump_holds_what_was_shaped_from(shaped: Any) -> None:
    dump = shaped(driver(), KEYS, TAGS, **two_responses())
    assert dump["correct"] == [True, False]
    assert dump["well_formed"] == [True, True]
    assert dump["task_reward"] == [1.0, -0.5]
    # one of two right is medium; both are within 8, the shortest target
    assert dump["score"] == [1.5, -0.5]
    assert dump["response_length"] == [3, 2]
    assert "task_score" not in dump


def test_the_dump_of_scores_without_verdict_holds_the_verdict_that_was_used(shaped: Any) -> None:
    fields = two_responses(extra_fields=[{}, {}], rm_scores=nested([0.0, 0.0, 0.75], [0.0, 0.25]))
    dump = shaped(driver(WITH_REWARD_MODEL, correct_at=0.5), KEYS, TAGS, **fields)
    assert dump["correct"] == [True, False]
    assert dump["well_formed"] == [True, True]
    assert dump["task_reward"] == dump["task_score"] == [0.75, 0.25]
    assert dump["score"] == [1.25, 0.25]


def test_one_response_without_verdict_leaves_the_others_theirs(shaped: Any) -> None:
    fields = two_responses(extra_fields=[{}, {"reward_extra_info": {**verdict(False, -1.0)["reward_extra_info"]}}])
    fields["extra_fields"][1]["reward_extra_info"]["well_formed"] = 0.0
    dump = shaped(driver(correct_at=0.5), KEYS, TAGS, **fields)
    assert dump["correct"] == [True, False]
    assert dump["well_formed"] == [True, False]
    # the first score is the agent loop's own
    assert dump["task_score"] == [1.0, None]


def test_what_a_user_s_function_returned_besides_is_in_the_dump(shaped: Any) -> None:
    info = {**verdict(True, 2.0)["reward_extra_info"], "acc": 1.0, "score": 2.0, "steps": 4}
    fields = two_responses(extra_fields=[{"reward_extra_info": info}, verdict(False, -0.5)])
    dump = shaped(driver(), KEYS, TAGS, **fields)
    assert dump["steps"] == [4, None]
    assert "acc" not in dump


def test_data_without_gold_and_source_is_dumped_too(shaped: Any) -> None:
    fields = two_responses()
    del fields["reward_model"], fields["data_source"]
    dump = shaped(driver(), KEYS, TAGS, **fields)
    assert dump["gts"] == dump["data_source"] == [None, None]


def rollouts_of(ours: Driver, queue: Queue, tags: list[dict[str, Any]]) -> Rollouts:
    batch = KVBatchMeta(partition_id="train", keys=queue.keys, tags=tags)
    with pytest.MonkeyPatch.context() as patch:
        use(patch, queue)
        return ours.reader.rollouts(batch, Layout.of(queue.keys, tags), step=7)


def test_rollouts_carry_verdicts_lengths_and_step_without_padding() -> None:
    extra = [verdict(True, 1.0), verdict(False, -0.5), verdict(True, 1.0), verdict(True, 1.0)]
    queue = Queue(["p_0_0", "p_1_0", "q_0_0", "pad_0_0"], extra_fields=extra)
    tags = [*({"response_len": length} for length in (5, 9, 64)), {"response_len": 1, "is_padding": True}]
    rollouts = rollouts_of(driver(), queue, tags)
    assert rollouts.group.tolist() == [0, 0, 1]
    assert rollouts.length.tolist() == [5, 9, 64]
    assert rollouts.correct.tolist() == [True, False, True]
    assert rollouts.group_size.tolist() == [2, 1]
    assert rollouts.step == 7


def test_scores_without_verdict_need_a_threshold() -> None:
    with pytest.raises(ValueError, match="correct_at"):
        driver(WITH_REWARD_MODEL)
    scores, masks = nested([0.0, 0.8], [0.3]), nested([1, 1], [1])
    queue = Queue(["p_0_0", "p_1_0"], extra_fields=[{}, {}], rm_scores=scores, response_mask=masks)
    ours = driver(WITH_REWARD_MODEL, correct_at=0.5)
    rollouts = rollouts_of(ours, queue, [{"response_len": 2}, {"response_len": 1}])
    assert rollouts.correct.tolist() == [True, False]
    assert rollouts.task_score.tolist() == pytest.approx([0.8, 0.3])
    assert "correct from score 0.5 on" in ours.start_line("sync")


def test_a_response_of_several_turns_is_as_long_as_what_the_model_wrote() -> None:
    keys = ["p_0_0", "p_0_1", "p_1_0", "pad_0_0"]
    tags = [{"response_len": 5}, {"response_len": 4}, {"response_len": 6}, {"response_len": 1, "is_padding": True}]
    # the first trajectory has two outputs of 3 and 4 tokens of its own, the second 2 tokens before and after a tool's 2
    masks = nested([1, 1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0, 1, 1], [0])
    queue = Queue(keys, extra_fields=[verdict(True, 1.0)] * 4, response_mask=masks)
    assert rollouts_of(driver(), queue, tags).length.tolist() == [7, 4]


def test_a_tool_s_answer_inside_one_output_does_not_count() -> None:
    extra = [{"reward_extra_info": {**verdict(True, 1.0)["reward_extra_info"], "several_turns": 1.0}}]
    queue = Queue(["p_0_0"], extra_fields=extra, response_mask=nested([1, 1, 0, 0, 1, 1]))
    assert rollouts_of(driver(), queue, [{"response_len": 6}]).length.tolist() == [4]


def metrics_of(ours: Driver, *extra: dict[str, Any]) -> dict[str, float]:
    """The metrics of a step with one group of responses, two tokens each."""
    keys = [f"p_{index}_0" for index in range(len(extra))]
    rows = [[1, 1] for _ in keys]
    queue = Queue(keys, extra_fields=list(extra), rm_scores=nested(*rows), response_mask=nested(*rows))
    with pytest.MonkeyPatch.context() as patch:
        use(patch, queue)
        batch = KVBatchMeta(partition_id="train", keys=keys, tags=[{"response_len": 2} for _ in keys])
        return ours.metrics(ours.shape(batch, step=1))


def scored(status: str, layer: str, milliseconds: float) -> dict[str, Any]:
    info = verdict(status == "equal", 1.0)["reward_extra_info"]
    codes = {"score_status": float(STATUSES.index(status)), "score_layer": float(LAYERS.index(layer))}
    return {"reward_extra_info": {**info, **codes, "score_milliseconds": milliseconds}}


def test_a_step_tells_how_its_verdicts_came_about() -> None:
    extra = [scored("equal", "text", 1.0), scored("equal", "task", 2.0), scored("timeout", "math_verify", 5001.0)]
    metrics = metrics_of(driver(), *extra)
    assert metrics["laser/scoring/status_frac/equal"] == pytest.approx(2 / 3)
    assert metrics["laser/scoring/status_frac/timeout"] == pytest.approx(1 / 3)
    assert metrics["laser/scoring/status_frac/error"] == 0.0
    for layer in ("text", "task", "math_verify"):
        assert metrics[f"laser/scoring/layer_frac/{layer}"] == pytest.approx(1 / 3)
    assert metrics["laser/scoring/milliseconds/mean"] == 5004 / 3
    assert {name for name in metrics if name.startswith("laser/scoring/")} == {
        *(f"laser/scoring/status_frac/{status}" for status in STATUSES),
        *(f"laser/scoring/layer_frac/{layer}" for layer in LAYERS),
        *(f"laser/scoring/milliseconds/{name}" for name in ("mean", "p99")),
    }


def test_scores_that_are_not_of_our_workers_are_left_out() -> None:
    assert not [name for name in metrics_of(driver(correct_at=0.5), {}, {}) if name.startswith("laser/scoring/")]
    mixed = metrics_of(driver(correct_at=0.5), scored("different", "number", 1.0), {})
    assert mixed["laser/scoring/status_frac/different"] == mixed["laser/scoring/layer_frac/number"] == 1.0


def test_how_a_verdict_came_about_is_not_dumped(shaped: Any) -> None:
    # wall time would make two dumps of the same run differ
    fields = two_responses(extra_fields=[scored("equal", "text", 1.0), scored("different", "text", 2.0)])
    assert not [name for name in shaped(driver(), KEYS, TAGS, **fields) if name.startswith("score_")]


def test_the_dump_has_the_score_of_a_function_among_the_scorers(shaped: Any) -> None:
    scorers = {"sums": {"path": "judge.py", "name": "score"}}
    own = {"reward_extra_info": {**verdict(True, 0.25)["reward_extra_info"], "own_score": 1.0}}
    fields = two_responses(extra_fields=[own, verdict(False, -0.5)])
    dump = shaped(driver(scorers=scorers), KEYS, TAGS, **fields)
    # one of two right is medium, both are within 8 tokens; what the function gave stays, the other is ours to score
    assert dump["task_score"] == [0.25, None]
    assert dump["task_reward"] == [0.25, -0.5]
    assert dump["score"] == [0.75, -0.5]


def test_a_row_that_no_worker_could_score_stops_the_run(shaped: Any) -> None:
    unscored = {"reward_extra_info": {"laser_error": "no gold in row 17"}}
    fields = two_responses(extra_fields=[verdict(True, 1.0), unscored])
    with pytest.raises(ValueError, match="no gold in row 17"):
        shaped(driver(), KEYS, TAGS, **fields)


def test_the_record_holds_all_updates_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    # verl dumps them together
    ours = driver()
    for step, prompt in ((1, "p"), (1, "q"), (2, "r")):
        keys = [f"{prompt}_0_0", f"{prompt}_1_0"]
        use(monkeypatch, Queue(keys, **two_responses()))
        ours.shape(KVBatchMeta(partition_id="train", keys=keys, tags=TAGS), step)
        assert set(ours.records) == ({"p_0_0", "p_1_0", "q_0_0", "q_1_0"} if prompt == "q" else set(keys))


def test_columns_and_prompt_keys_reach_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(KEYS, **two_responses(extra_info=[{"budget": 24}, {}]))
    use(monkeypatch, queue)
    batch, layout = KVBatchMeta(partition_id="train", keys=KEYS, tags=TAGS), Layout.of(KEYS, TAGS)
    rollouts = driver(method="lapo").reader.rollouts(batch, layout, step=1)
    assert rollouts.numbers("budget", empty=0).tolist() == [24.0, 0.0]
    # of the data source sums, the prompt ? and the gold answer b
    assert rollouts.prompt_key == (prompt_key("sums", [{"role": "user", "content": "?"}], "b"),)
    with pytest.raises(ValueError, match=r"data_source='sums', index=None has extra_info\.budget=None"):
        driver(method="l1_max").reader.rollouts(batch, layout, step=1)


def test_a_column_with_a_name_of_the_dump_stands_beside_it(shaped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = driver(method="lapo")
    monkeypatch.setattr(type(ours.method), "columns", ("budget", "correct", "score"))
    extra = [{"budget": 24, "correct": 5, "score": 6}] * 2
    dump = shaped(ours, KEYS, TAGS, **two_responses(extra_info=extra))
    assert dump["correct"] == [True, False]
    assert dump["score"] != [6.0, 6.0]
    assert (dump["budget"], dump["extra_info.correct"], dump["extra_info.score"]) == ([24.0] * 2, [5.0] * 2, [6.0] * 2)


def test_a_state_that_spoils_with_the_first_batch_ends_the_run_there(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Queue(KEYS, **two_responses()))
    ours = driver()
    ours.method_state()
    monkeypatch.setattr(ours.method, "state_dict", lambda: {"sums/easy": 1})
    with pytest.raises(ValueError, match="method laser_d, state_dict: state key 'sums/easy' must be a text without"):
        ours.shape(KVBatchMeta(partition_id="train", keys=KEYS, tags=TAGS), step=1)


def test_an_error_in_a_methods_metrics_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = driver()
    monkeypatch.setattr(ours.method, "metrics", lambda: {}["easy"])
    with pytest.raises(ValueError, match="laser_verl: method laser_d, metrics: KeyError: 'easy'"):
        metrics_of(ours, verdict(True, 1.0))
    monkeypatch.setattr(ours.method, "metrics", lambda: None)
    with pytest.raises(ValueError, match="laser_verl: method laser_d, metrics: TypeError"):
        metrics_of(ours, verdict(True, 1.0))


def test_an_error_of_a_method_names_the_prompt_that_breaks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Queue(KEYS, **two_responses()))
    ours = driver()
    monkeypatch.setattr(ours.method, "shape", lambda rollouts: None)
    with pytest.raises(RuntimeError, match=r"method laser_d fails on the group 'sums: \?': shape returned a NoneType"):
        ours.shape(KVBatchMeta(partition_id="train", keys=KEYS, tags=TAGS), step=1)
