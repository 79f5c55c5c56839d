"""Reward functions of a user: right about half the time on any text, and one that does not say what is right."""


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    correct = len(solution_str) % 2 == 0
    return {"score": 1.0 if correct else -0.25, "acc": correct}


def without_verdict(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    return 1.0
