"""`laser-verl quickstart`: a tiny reasoner learns to answer in fewer tokens, through verl's own trainer, on a CPU.

`plan` holds what was asked and where a run stands; `world` makes the problems; `command` builds the command line that
a user could type; `processes` and `training` run it and leave nothing behind; `evaluation` and `picture` show what
came of it.
"""
