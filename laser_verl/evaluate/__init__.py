"""Accuracy and tokens of a model on benchmarks.

`plan` reads what was asked, `engine` generates through vLLM, `samples` keeps every response in a file that grows line
by line, and all else (`verdicts`, `measures`, `summary`, `tables`, `picture`) is computed from such files alone.
"""
