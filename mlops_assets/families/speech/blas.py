"""Give MLX a fast BLAS: the Linux CPU wheel carries the reference one, some thirty times slower.

MLX calls `cblas_sgemm` through the dynamic linker, so a library that is already loaded globally answers instead.
Nothing else is changed, and nothing is needed where the wheel has a good one of its own (macOS, CUDA).
"""

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

FOLDER = Path(sys.prefix) / "lib" / "openblas"
_OWN = ("libquadmath.so.0", "libgfortran.so.5", "libopenblas.so.0")
_SYSTEM = ("libopenblas.so.0", "libmkl_rt.so.2", "libmkl_rt.so")


def pin_threads(threads: int) -> None:
    """Pin BLAS and OpenMP to `threads` (0: the cores this process may use), waiting passively.

    Only what is not yet set in the environment is set; call it before the first numeric import.
    """
    count = str(threads or len(os.sched_getaffinity(0)) if sys.platform == "linux" else threads or os.cpu_count() or 1)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, count)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("MKL_THREADING_LAYER", "SEQUENTIAL")
    if sys.platform == "linux":
        os.environ.setdefault("MLX_DISABLE_COMPILE", "1")


@cache
def blas() -> str | None:
    """Load the first fast BLAS found and return its path or name; None if there is none or none is needed.

    Looked for, in order: the libraries that `make setup` unpacks into the environment, the system's OpenBLAS, MKL.
    """
    if sys.platform != "linux":
        return None
    if all((FOLDER / name).is_file() for name in _OWN):
        for name in _OWN:
            ctypes.CDLL(str(FOLDER / name), mode=ctypes.RTLD_GLOBAL)
        return str(FOLDER / _OWN[-1])
    return next((name for name in _SYSTEM if _loads(name)), None)


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
