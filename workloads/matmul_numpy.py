"""matmul-numpy: matrix products in NumPy, whose BLAS has threads of its own.

Shows: oversubscription. BLAS releases the GIL and already uses all CPUs for one product. Two workers then run twice as
many threads as there are CPUs. With `-P blas_threads=1` each worker has one BLAS thread.
Claim: one CPU may sit idle while another is overloaded; threads share the CPUs as processes do while C code runs.
A good answer: with the library's default serial is as fast as any model, and more workers gain nothing or lose; with
one BLAS thread each, threads and processes gain again.
Depends on: NumPy and the BLAS it was built with; threadpoolctl, to set and to report its threads. Both must be in the
measured interpreter. NumPy is imported inside the task: its import is part of a worker's first task.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from tracekit.workload import Observable, Observation, Parameter, Workload

Item = tuple[int, int, int, int]
Result = tuple[str, int]


def make_items(products: int, seed: int, *, n: int, blas_threads: int) -> list[Item]:
    """16 items, each (seed of its matrices, rows and columns, products, threads that BLAS may use)."""
    return [(seed * 1000 + index, n, products, blas_threads) for index in range(16)]


def task(item: Item) -> Result:
    """Multiply that many times; returns a checksum of the product and the number of threads that BLAS used."""
    import numpy as np  # noqa: PLC0415 - see the module
    from threadpoolctl import threadpool_info, threadpool_limits  # noqa: PLC0415 - neither is in the standard library

    seed, n, products, blas_threads = item
    # Whole numbers below 2**53, so that no order of adding rounds differently.
    left = (np.arange(n * n, dtype=np.float64).reshape(n, n) * seed) % 251
    right = left.T.copy()
    with threadpool_limits(blas_threads or None, user_api="blas"):
        used = max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
        for _ in range(products):
            product = left @ right
    return str(int(product.sum())), used


def combine(results: Sequence[Result]) -> str:
    """The sums of all products, in item order."""
    return str(sum(int(total) for total, _ in results))


def observe(results: Sequence[Result]) -> list[Observation]:
    """The threads of BLAS in one worker, and the CPUs that all workers may use."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    return [Observation("blas_threads", max(used for _, used in results)), Observation("cpus", cpus)]


WORKLOAD = Workload(
    name="matmul-numpy",
    summary="matrix products in NumPy: releases the GIL, and BLAS has threads of its own",
    kind="native",
    sizes={"smoke": 1, "small": 2, "default": 10, "large": 100},
    make_items=make_items,
    task=task,
    combine=combine,
    parameters=(
        Parameter("n", 400, "rows and columns of the matrices", least=8, most=20_000),
        Parameter("blas_threads", 0, "threads that BLAS may use in a worker, 0 for its default", least=0, most=1024),
    ),
    observe=observe,
    observables=(
        Observable("blas_threads", "count", "threads that BLAS used in a worker"),
        Observable("cpus", "count", "CPUs that the workers may use"),
    ),
    needs=("numpy", "threadpoolctl"),
)
