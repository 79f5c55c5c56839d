"""What a training run takes of each GPU."""

from laser_verl.memory.estimate import CONTEXT, WORKSPACE, estimate
from laser_verl.memory.sizes import GIB, Estimate, Generation, Item, Phase, Shape, Training

__all__ = [
    "CONTEXT",
    "GIB",
    "WORKSPACE",
    "Estimate",
    "Generation",
    "Item",
    "Phase",
    "Shape",
    "Training",
    "estimate",
]
