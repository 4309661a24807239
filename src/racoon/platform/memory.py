"""Give memory that work has left behind back to the machine.

The C library keeps what large arrays freed in its arenas; a process that measured one big CT would hold the
memory of that hour for weeks, and a hospital's small machine runs other things too.
"""

from __future__ import annotations

import ctypes
import gc


def give_back_freed_memory() -> bool:
    """Collect garbage and hand freed pages back to the operating system.

    Returns
    -------
    bool
        Whether the C library offers this (``malloc_trim`` of glibc); elsewhere only garbage is collected.
    """
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return False
    trim(0)
    return True
