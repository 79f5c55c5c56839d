"""Weight transfer between a separate trainer and rollout on the CPU platform: a checkpoint engine over Ray.

verl's engines for ``separate_async`` want NCCL, NIXL or Mooncake. This one, ``backend=ray_object_store``, passes
buckets of tensors through Ray's object store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Any

import ray
import torch
from verl.checkpoint_engine.base import CheckpointEngine, CheckpointEngineRegistry

NAME = "ray_object_store"

Bucket = dict[str, torch.Tensor]


class Mailbox:
    """Holds the buckets of one weight update until every receiver has read them."""

    def __init__(self) -> None:
        """Start empty."""
        self._buckets: list[Bucket | None] = []
        self._arrived = asyncio.Condition()

    async def put(self, bucket: Bucket | None) -> None:
        """Add a bucket; None ends the update."""
        async with self._arrived:
            self._buckets.append(bucket)
            self._arrived.notify_all()

    async def get(self, index: int) -> Bucket | None:
        """The bucket of that number, as soon as it is there."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self._buckets) > index)
        return self._buckets[index]


class RayObjectStoreCheckpointEngine(CheckpointEngine):
    """Rank 0 of the actor sends, every rollout worker receives; the other actor ranks only walk the generator."""

    def __init__(self, bucket_size: int, is_master: bool = False) -> None:
        """Take verl's arguments.

        Args:
            bucket_size: bytes a bucket may hold; a larger tensor travels alone.
            is_master: whether this worker sends.
        """
        self.bucket_size = bucket_size
        self.is_master = is_master
        self.mailbox: Any = None

    def prepare(self) -> Any:
        """The sender opens a mailbox for this update; its handle is the group's metadata."""
        if not self.is_master:
            return None
        return ray.remote(Mailbox).options(num_cpus=0, max_concurrency=64).remote()

    @classmethod
    def build_topology(
        cls, actor_wg_world_size: int, rollout_world_size: int, metadata: list[Any]
    ) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
        """Hand the mailbox of actor rank 0 to all."""
        mailbox = metadata[0]
        assert mailbox is not None, "actor rank 0 must be the master"
        return {"mailbox": [mailbox] * actor_wg_world_size}, {"mailbox": [mailbox] * rollout_world_size}

    def init_process_group(self, mailbox: Any) -> None:
        """Remember the mailbox."""
        self.mailbox = mailbox

    def finalize(self) -> None:
        """Close the mailbox; Ray ends the actor with its last handle."""
        self.mailbox = None

    async def send_weights(
        self, weights: Generator[tuple[str, torch.Tensor], None, None], global_steps: int | None = None
    ) -> None:
        """Send all weights in buckets. Producing a weight is collective over the actor group, so all ranks walk."""
        bucket: Bucket = {}
        size = 0
        for name, weight in weights:
            if not self.is_master:
                continue
            if bucket and size + weight.nbytes > self.bucket_size:
                await self.mailbox.put.remote(bucket)
                bucket, size = {}, 0
            bucket[name] = weight.detach().cpu().clone()
            size += weight.nbytes
        if self.is_master:
            if bucket:
                await self.mailbox.put.remote(bucket)
            await self.mailbox.put.remote(None)

    async def receive_weights(self, global_steps: int | None = None) -> AsyncGenerator[tuple[str, torch.Tensor], None]:  # type: ignore[override]
        """Yield the weights as they arrive."""
        index = 0
        while (bucket := await self.mailbox.get.remote(index)) is not None:
            for name, weight in bucket.items():
                yield name, weight
            index += 1


def register() -> list[str]:
    """Add the engine to verl's registry."""
    CheckpointEngineRegistry.register(NAME)(RayObjectStoreCheckpointEngine)
    return [NAME]


REGISTERED = register()
