"""`laser-verl prepare`: data sets of problems with gold answers become verl's parquet.

`run.py` is the whole of it: rows are read one after the other (`sources.py`, `reading.py`, `layouts.py`), pass the
stages that leave some out (`duplicates.py`, `overlap.py`, `golds.py`, `lengths.py`), are put into splits (`splits.py`)
and written (`templates.py`, `output.py`) with a data card (`card.py`).
"""
