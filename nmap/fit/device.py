"""torch where it pays: which device, which number type, and the networks' forward pass and gradient.

Besides `nmap.fit` the only user of torch. Work on the CPU is shared out over threads of our own, each with
a piece of the batch, rather than over torch's: its threads meet at a barrier in every operation, and wait
there spinning, which is slow on a busy machine. The same number of threads gives the same result.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
import scipy.fft
import torch
from torch import Tensor
from torch.nn.functional import linear

from nmap.errors import OptionError, UnsupportedError
from nmap.grid import Shape
from nmap.machine.threads import workers

# Rows that a thread takes at least, and in an evaluation at most: fewer cost more to hand out than to
# compute.
_LEAST_ROWS = 1024
_MOST_ROWS = 8192


def choose_device(name: str) -> torch.device:
    """The device that "auto", "cpu" or "cuda" means here.

    Raises:
        OptionError: "cuda" on a machine without a usable GPU.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise OptionError("`device` cuda: torch finds no usable GPU here: take cpu or auto")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and found) else "cpu")


def device_name(device: torch.device) -> str:
    """The device in words, with its threads or its model."""
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return f"cpu: {torch.backends.cpu.get_cpu_capability()}, {thread_count()} threads"


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are much faster than in float32: AMX, AVX-512 BF16 or a recent GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    asked = [
        bool(getattr(torch.cpu, name, bool)())
        for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    ]
    return any(asked) or any(bool(capabilities.get(name)) for name in ("amx_bf16", "avx512_bf16"))


def thread_count() -> int:
    """Threads that the CPU work may take: OMP_NUM_THREADS, as torch heeds it, within the process's own cores."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(torch.get_num_threads(), allowed))


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch single-threaded inside: its threads spin while they wait, which on a busy machine costs fivefold."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def rfftn(volume: Tensor) -> Tensor:
    """Half transform of a real (z, y, x) volume, complex64; on the CPU by pocketfft, whose threads do not spin."""
    if volume.device.type == "cpu":
        half = scipy.fft.rfftn(volume.numpy(), workers=workers())
        return torch.from_numpy(np.asarray(half, np.complex64))
    out: Tensor = torch.fft.rfftn(volume)
    return out


def irfftn(half: Tensor, shape: Shape) -> Tensor:
    """Sum of the waves of a half transform at every point of (z, y, x), float32: the inverse times their number."""
    if half.device.type == "cpu":
        volume = scipy.fft.irfftn(half.numpy(), s=shape, norm="forward", workers=workers())
        return torch.from_numpy(np.asarray(volume, np.float32))
    out: Tensor = torch.fft.irfftn(half, s=shape, norm="forward")
    return out


def fftn(volume: Tensor) -> Tensor:
    """Transform of a complex (z, y, x) volume, which is overwritten."""
    if volume.device.type == "cpu":
        return torch.from_numpy(scipy.fft.fftn(volume.numpy(), overwrite_x=True, workers=workers()))
    out: Tensor = torch.fft.fftn(volume)
    return out


def ifftn(volume: Tensor) -> Tensor:
    """Sum of the waves of a complex transform (z, y, x), which is overwritten: the inverse times their number."""
    if volume.device.type == "cpu":
        summed = scipy.fft.ifftn(volume.numpy(), norm="forward", overwrite_x=True, workers=workers())
        return torch.from_numpy(summed)
    out: Tensor = torch.fft.ifftn(volume, norm="forward")
    return out


def forward(
    kind: str, settings: Mapping[str, Any], tensors: Mapping[str, Tensor], t: Tensor, hidden: torch.dtype
) -> Tensor:
    """Values of a network at network coordinates, as `nmap.model` computes them.

    Args:
        kind: model kind, "siren" or "fourier-features".
        settings: the network's settings.
        tensors: parameters by their name in the file, float32.
        t: (n, 3), (z, y, x), float32.
        hidden: number type of the hidden layers; the first and the last compute in float32.

    Returns:
        (n,) float32.

    Raises:
        UnsupportedError: another kind.
    """
    if kind not in _FORWARD:
        raise UnsupportedError(f"model kind {kind!r}: torch has {' and '.join(_FORWARD)}")
    return _FORWARD[kind](settings, tensors, t, hidden)


def _siren(
    settings: Mapping[str, Any], tensors: Mapping[str, Tensor], t: Tensor, hidden: torch.dtype
) -> Tensor:
    omegas = settings["omegas"]
    h = torch.sin(linear(t, omegas[0] * tensors["first.weight"], omegas[0] * tensors["first.bias"])).to(
        hidden
    )
    for omega, weight, bias in zip(
        omegas[1:], tensors["hidden.weight"], tensors["hidden.bias"], strict=False
    ):
        h = torch.sin(linear(h, (omega * weight).to(hidden), (omega * bias).to(hidden)))
    out = linear(h.float(), tensors["last.weight"], tensors["last.bias"])[:, 0]
    return torch.sin(omegas[-1] * out) if settings["output"] == "sine" else out


def _fourier_features(
    settings: Mapping[str, Any], tensors: Mapping[str, Tensor], t: Tensor, hidden: torch.dtype
) -> Tensor:
    phase = 2 * math.pi * linear(t, tensors["frequencies"])
    amplitudes = tensors["amplitudes"]
    features = torch.cat((amplitudes * torch.cos(phase), amplitudes * torch.sin(phase)), 1)
    h = torch.relu(linear(features, tensors["first.weight"], tensors["first.bias"])).to(hidden)
    for weight, bias in zip(tensors["hidden.weight"], tensors["hidden.bias"], strict=True):
        h = torch.relu(linear(h, weight.to(hidden), bias.to(hidden)))
    return linear(h.float(), tensors["last.weight"], tensors["last.bias"])[:, 0]


_FORWARD = {"siren": _siren, "fourier-features": _fourier_features}


class Workers:
    """Shares batches out over threads; a context manager.

    Args:
        device: a GPU takes each batch whole.
    """

    def __init__(self, device: torch.device) -> None:
        self._whole = device.type != "cpu"
        self._threads = 1 if self._whole else thread_count()
        self._before = torch.get_num_threads()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Workers:
        if not self._whole:
            torch.set_num_threads(1)
            if self._threads > 1:
                # torch keeps its number of threads by calling thread.
                self._pool = ThreadPoolExecutor(
                    self._threads, initializer=torch.set_num_threads, initargs=(1,)
                )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        if not self._whole:
            torch.set_num_threads(self._before)

    def gradient(
        self, loss: Callable[[slice], Tensor], rows: int, leaves: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """A loss that is a sum over rows, and its gradient.

        Args:
            loss: of a slice of the rows; a scalar.
            rows: how many rows there are.
            leaves: tensors to differentiate by.

        Returns:
            The sum over all rows, and its derivative by each leaf.
        """

        def piece(part: slice) -> tuple[Tensor, tuple[Tensor, ...]]:
            value = loss(part)
            return value.detach(), torch.autograd.grad(value, leaves)

        pieces = self._map(piece, rows, max(_LEAST_ROWS, -(-rows // self._threads)))
        total, gradients = pieces[0][0], list(pieces[0][1])
        for value, more in pieces[1:]:
            total = total + value
            for gradient, other in zip(gradients, more, strict=True):
                gradient.add_(other)
        return total, gradients

    def evaluate(self, function: Callable[[slice], Tensor], rows: int) -> Tensor:
        """Values (rows,) of a function of a slice of rows, without derivatives."""

        def piece(part: slice) -> Tensor:
            with torch.no_grad():
                return function(part)

        return torch.cat(self._map(piece, rows, _MOST_ROWS))

    def each(self, function: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
        """The function of every job, in order."""
        if self._pool is None:
            return [function(job) for job in jobs]
        return list(self._pool.map(function, jobs))

    def _map(self, function: Callable[[slice], Any], rows: int, size: int) -> list[Any]:
        """The function of every slice of at most `size` rows, in order; a GPU gets 64 times as many."""
        size *= 64 if self._whole else 1
        return self.each(function, [slice(start, min(start + size, rows)) for start in range(0, rows, size)])


class Recorded:
    """Work on tensors that stay where they are: on a GPU recorded once, then replayed as one launch (a CUDA graph).

    Args:
        work: takes nothing, touches the device only, and gives a tensor, which the next call overwrites.
        device: where; the CPU just works.
        warm_up: calls that just work before the one that records: what is set up at first must not be recorded.
    """

    def __init__(self, work: Callable[[], Tensor], device: torch.device, warm_up: int) -> None:
        self._work, self._left = work, warm_up
        self._graph = torch.cuda.CUDAGraph() if device.type == "cuda" else None
        self._out: Tensor | None = None

    def __call__(self) -> Tensor:
        """Do the work."""
        if self._graph is None or self._left > 0:
            self._left -= 1
            return self._work()
        if self._out is None:
            with torch.cuda.graph(self._graph):
                self._out = self._work()
        self._graph.replay()
        return self._out
