import pytest

from laser_verl.commands import BadInput
from laser_verl.data.tiny_world import write_parquet
from laser_verl.quickstart import world
from laser_verl.quickstart.plan import Plan


def prepare(plan):
    plan.out.mkdir(exist_ok=True)
    world.write(plan, *world.make_problems(plan))


def questions(path):
    return [row["prompt"][0]["content"] for row in world.read_rows(path)]


def test_the_world_has_600_held_out_problems_in_three_difficulties_apart_from_training(tmp_path):
    plan = Plan(tmp_path)
    prepare(plan)
    held_out = world.read_rows(plan.held_out_file)
    sources = [row["data_source"] for row in held_out]
    assert len(held_out) == 600
    assert {source: sources.count(source) for source in sources} == {
        f"tiny_world/{difficulty}": 200 for difficulty in ("easy", "medium", "hard")
    }
    assert not set(questions(plan.train_file)) & set(questions(plan.held_out_file))
    assert (plan.base / "model.safetensors").is_file()


def test_seeds_share_the_held_out_problems_and_differ_in_training(tmp_path):
    plans = [Plan(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 2), ("c", 1))]
    for plan in plans:
        prepare(plan)
    one, two, again = plans
    assert questions(one.held_out_file) == questions(two.held_out_file)
    assert questions(one.train_file) != questions(two.train_file)
    assert questions(one.train_file) == questions(again.train_file)


def rows(number):
    return [
        {
            "data_source": "sums",
            "prompt": [{"role": "user", "content": f"{at} + 1 = ?"}],
            "reward_model": {"style": "rule", "ground_truth": str(at + 1)},
        }
        for at in range(number)
    ]


@pytest.mark.parametrize(("number", "num_held_out"), [(5, 1), (100, 20), (1000, 32)])
def test_own_data_is_split(tmp_path, number, num_held_out):
    data = write_parquet(rows(number), tmp_path / "data.parquet")
    plan = Plan(tmp_path / "out", model=tmp_path, data=data)
    prepare(plan)
    kept, trained = questions(plan.held_out_file), questions(plan.train_file)
    assert len(kept) == num_held_out
    assert sorted(kept + trained) == sorted(questions(data))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:4], "has 4 rows; give at least 5"),
        (
            lambda rows: [{**row, "reward_model": {"ground_truth": ""}} for row in rows],
            "row 0: .*ground_truth is missing",
        ),
        (lambda rows: [{**row, "reward_model": "72"} for row in rows], "row 0: .*ground_truth is missing"),
        (lambda rows: [{"prompt": row["prompt"]} for row in rows], "lacks data_source, reward_model"),
    ],
)
def test_unfit_own_data_is_refused(tmp_path, change, message):
    data = write_parquet(change(rows(20)), tmp_path / "data.parquet")
    with pytest.raises(BadInput, match=message):
        prepare(Plan(tmp_path / "out", model=tmp_path, data=data))


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "data.parquet").write_text("prompt,answer")
    with pytest.raises(BadInput, match="is not a parquet file"):
        world.read_rows(tmp_path / "data.parquet")
