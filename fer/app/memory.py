"""Memory that was freed goes back to the system.

keep()     sees to it for as long as the process runs

The C library of Linux keeps what threads have freed, each thread's for threads to come: after a crowd of visitors,
hundreds of MB that nothing uses any more.
"""

import ctypes
import threading
import time

EVERY = 60  # seconds; it takes some milliseconds


def keep() -> None:
    """Gives back what is free every minute, in a thread of its own."""
    threading.Thread(target=_go_on, name="thrift", daemon=True).start()


def _go_on() -> None:
    while give_back() is not None:
        time.sleep(EVERY)


def give_back() -> bool | None:
    """Whether there was anything to give back; None where the C library is another one, and cannot be asked to."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError, TypeError):
        return None
