"""Start TensorFlow: repeatable, on the wanted device, and without its chatter in the worker's log.

TensorFlow and its converter write hundreds of lines to the file descriptors themselves. They are kept aside, and shown
only where an error makes them worth reading.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from mlops_assets.core.errors import ConfigError


def start(threads: int, seed: int) -> None:
    """Import TensorFlow with pinned threads and repeatable operations, and seed what is drawn from it."""
    count = threads or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(count))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quietly():
        import keras
        import tensorflow as tf

        keras.utils.set_random_seed(seed)
        tf.config.experimental.enable_op_determinism()
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)


def choose_device(wanted: str) -> str:
    """Return the device for 'auto', 'gpu' or 'cpu' as TensorFlow names it; ConfigError where there is no GPU."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if wanted == "gpu" and not gpus:
        raise ConfigError("TensorFlow sees no GPU.", "Set `device: auto`, or install TensorFlow with GPU support.")
    return "/GPU:0" if gpus and wanted != "cpu" else "/CPU:0"


@contextmanager
def quietly() -> Iterator[None]:
    """Keep what this process writes to its standard streams aside; show it if an exception passes through."""
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as aside:
        kept = os.dup(1), os.dup(2)
        try:
            os.dup2(aside.fileno(), 1)
            os.dup2(aside.fileno(), 2)
            yield
        except BaseException:
            sys.stderr.flush()
            os.dup2(kept[1], 2)
            aside.seek(0)
            os.write(2, aside.read())
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for target, copy in enumerate(kept, 1):
                os.dup2(copy, target)
                os.close(copy)
