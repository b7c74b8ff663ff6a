"""Batches made by other processes: their errors arrive as they were raised, and no signal ends them before this one."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from typing import Any, Final

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from edge_harmony.errors import EdgeHarmonyError, SourceError
from edge_harmony.run.signals import STOPPING, children_without_signals

_GRACE_S: Final = 60  # for a step that is under way


class _ErrorsAsValues(Dataset):
    """A data set whose errors are returned: raised in a worker, DataLoader would make a traceback of their message."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.data[key]
        except EdgeHarmonyError as error:
            return error


class _Collate:
    def __init__(self, collate: Callable[[list], Any]) -> None:
        self.collate = collate

    def __call__(self, samples: list) -> Any:
        errors = [sample for sample in samples if isinstance(sample, EdgeHarmonyError)]
        return errors[0] if errors else self.collate(samples)


def batches(
    data: Dataset,
    size: int,
    sampler: Sampler,
    workers: int,
    device: torch.device,
    collate: Callable[[list], Any] = default_collate,
) -> Generator[Any, None, None]:
    """Batches of ``size`` samples in the sampler's order.

    Args:
        workers: processes that make them; 0 makes them in this one. They outlive SIGINT, SIGTERM and SIGHUP, which a
            terminal or a service manager sends to all processes at once: this one ends them when it is done, and so
            does closing what is returned.
        device: memory is pinned for a GPU.

    Raises:
        EdgeHarmonyError: what the data set raised. SourceError: a worker died.
    """
    loader = DataLoader(
        _ErrorsAsValues(data),
        size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=_Collate(collate),
        pin_memory=device.type == "cuda",
        prefetch_factor=4 if workers else None,
        worker_init_fn=_begin_worker,
    )
    with children_without_signals():
        made = iter(loader)
    try:
        while True:
            try:
                batch = next(made)
            except StopIteration:
                return
            except RuntimeError as error:
                reason = str(error).splitlines()[0]
                if "DataLoader worker" not in reason and "shared memory" not in reason:
                    raise
                raise SourceError(
                    f"a process that makes samples died: {reason}",
                    "it may have run out of memory: use fewer --workers, or --workers 0",
                ) from None
            if isinstance(batch, EdgeHarmonyError):
                raise batch
            yield batch
    finally:
        del made  # ends the workers


def _begin_worker(_worker: int) -> None:
    outlive_signals(_GRACE_S)


def outlive_signals(grace_s: int) -> None:
    """In a worker: a signal that stops comes to all processes; this one is ended by who began it, or after a while."""
    if hasattr(signal, "pthread_sigmask"):
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: signal.alarm(grace_s))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
