"""A user's own reward function that is right about half the time on any text."""


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    correct = len(solution_str) % 2 == 0
    return {"score": 1.0 if correct else -0.25, "acc": correct}
