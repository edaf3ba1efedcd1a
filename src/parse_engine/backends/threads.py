"""How many threads of a CPU compute a model.

torch takes every core, and its threads wait for each other after every operation. An operation of a small model lasts
microseconds: beside one busy process each of them waits until the system lets the last thread run, and an answer takes
twenty times as long. So one thread computes small models, which gain little from more.
"""

from __future__ import annotations

import os
import sys

import torch

_SMALL = 50_000_000  # parameters; a larger model's operations are long enough to be worth sharing

_TORCHS_OWN = torch.get_num_threads()
_not_the_users = _TORCHS_OWN  # what torch has by its own choice, or by ours


def choose_threads(parameters: int) -> None:
    """Set torch's number of threads for a model on the CPU: that of the process, so the model loaded last decides.

    What the user chose stays: by OMP_NUM_THREADS or MKL_NUM_THREADS, or by `torch.set_num_threads` after a model was
    loaded. A number that was set before the first one stays if it is below half the logical cores: torch itself takes
    all of them, or half of them where two share a core, and what is set to as many cannot be told from that.
    """
    global _not_the_users  # torch's number is the process's as well
    if any(variable in os.environ for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")):
        return
    if torch.get_num_threads() != _not_the_users or _cores() // 2 > _TORCHS_OWN:
        return
    _not_the_users = 1 if parameters < _SMALL else _TORCHS_OWN
    torch.set_num_threads(_not_the_users)


def _cores() -> int:
    """Logical cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
