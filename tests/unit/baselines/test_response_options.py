"""Bad options of the methods that look at one response."""

from __future__ import annotations

from typing import Any

import pytest

from laser_verl.core import Context, build

STAGES = {"stages": [4000, 3000, 2000]}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("truncation", {"target_length": 0}, "target_length=0 must be a positive number of tokens"),
        ("truncation", {"target_length": 8193}, "target_length=8193 is above max_response_length=8192"),
        ("truncation", {"target_length": 10, "rho": float("nan")}, "rho=nan must be a finite number"),
        ("thinkprune", {"stages": [4000, 0]}, r"stages\[1\]=0 must be a positive number of tokens"),
        ("thinkprune", {"stages": [9000], "starts": [0]}, r"stages\[0\]=9000 is above max_response_length=8192"),
        ("thinkprune", {"stages": [2000, 3000], "starts": [0, 9]}, r"stages=\[2000, 3000\] must get shorter"),
        ("thinkprune", {"stages": [3000, 3000], "starts": [0, 9]}, r"stages=\[3000, 3000\] must get shorter"),
        ("thinkprune", STAGES, "starts=None must hold the first step of each of the 3 stages"),
        ("thinkprune", {**STAGES, "starts": [0, 100]}, r"starts=\[0, 100\] must hold .* 3 stages"),
        ("thinkprune", {**STAGES, "starts": [0, 200, 100]}, r"starts=\[0, 200, 100\] .* none overlaps the next"),
        ("thinkprune", {**STAGES, "starts": [0, 100, 100]}, r"starts=\[0, 100, 100\] .* none overlaps the next"),
        ("thinkprune", {**STAGES, "starts": [1, 100, 200]}, r"starts=\[1, 100, 200\] .* rising from 0"),
        ("truncation", {"target_length": 5, "rho": 2}, r"rho=2\.0 must not be above scores\.correct=1\.0"),
        ("cosine", {"exceed": 3}, r"exceed=3\.0 must not be above correct=\[2\.0, 1\.0\]"),
        ("siri", {"period": 1}, "period=1 leaves the limit where it is"),
        ("l1_exact", {"alpha": -1}, r"alpha=-1\.0 must be 0 or more; give e\.g\. 0\.0003"),
        ("cosine", {"correct": 2}, r"correct=2 must be a list of 2 numbers; give e\.g\. \[2\.0, 1\.0\]"),
        ("l1_exact", {"alpha": -1}, r"alpha=-1\.0 must be 0 or more"),
        ("l1_exact", {"budget": 0}, "budget=0 must be a positive number of tokens"),
        ("l1_exact", {"budget": 9000}, "budget=9000 is above max_response_length=8192"),
        ("l1_max", {"alpha": -1}, r"alpha=-1\.0 must be 0 or more"),
        ("l1_max", {"delta": 1.5}, r"delta=1\.5 must be from 0 to 1"),
        ("l1_max", {"variant": "code"}, "unknown variant 'code'"),
        ("dapo_overlong", {"buffer": 0}, "buffer=0 must be a positive number of tokens"),
        ("dapo_overlong", {"buffer": 8192}, "buffer=8192 must be below the longest length, 8192 tokens"),
        ("dapo_overlong", {"max_length": 4096}, "buffer=4096 must be below the longest length, 4096 tokens"),
        ("dapo_overlong", {"max_length": 20480}, "max_length=20480 is above max_response_length=8192"),
        ("dapo_overlong", {"weight": -1}, r"weight=-1\.0 must be 0 or more"),
        ("cosine", {"correct": [2, 1, 0]}, r"correct=\[2, 1, 0\] must be a list of 2 numbers"),
        ("cosine", {"correct": [1, -1]}, r"correct=\[1\.0, -1\.0\] must not fall below wrong=\[-10\.0, 0\.0\]"),
        ("cosine", {"exceed": float("inf")}, "exceed=inf must be a finite number"),
        ("cosine", {"max_length": 0}, "max_length=0 must be a positive number of tokens"),
        ("cosine", {"max_length": 9000}, "max_length=9000 is above max_response_length=8192"),
        ("cosine", {"margin": -1}, "margin=-1 must be 0 or more"),
        ("cosine", {"margin": 16, "exceed": None}, "margin=16 has no effect with exceed=null"),
        ("cosine", {"max_length": 16, "margin": 16}, "margin=16 must be .* below the longest length, 16 tokens"),
        ("hbpo", {"context_length": 0}, "context_length=0 must be a positive number of tokens"),
        ("hbpo", {"alpha": -1}, r"alpha=-1\.0 must be 0 or more"),
        ("hbpo", {"beta": -1}, r"beta=-1\.0 must be 0 or more"),
        ("hbpo", {"budget": 5000}, "budget=5000 is above context_length=4096"),
        ("hbpo", {"budget": 9000}, "budget=9000 is above max_response_length=8192"),
        ("l1_exact", {"alpha": "3e-4"}, r"alpha='3e-4' must be a finite number, not a text.*; give e\.g\. 0\.0003"),
        ("siri", {"longest": 8000, "shortest": 8000}, "shortest=8000 must be below longest=8000"),
        ("siri", {"longest": 4000}, "shortest=8192 must be below longest=4000"),
        ("siri", {"longest": 9000}, "longest=9000 is above max_response_length=8192"),
        ("siri", {"shortest": 0}, "shortest=0 must be a positive number of tokens"),
        ("siri", {"period": 0}, "period=0 must be a positive number of steps"),
        ("siri", {"kind": "saw"}, "unknown kind 'saw'"),
    ],
)
def test_an_option_out_of_range_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, options, Context(max_response_length=8192))
