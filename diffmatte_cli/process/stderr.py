"""Keep stderr to this program's own lines."""

import faulthandler
import logging
import os
import sys
import warnings

__all__ = ["mute_libraries"]


def mute_libraries() -> None:
    """Let nothing but this program through to stderr, for the rest of the process.

    Libraries print there by C (libtiff, libpng, OpenMP), by ``warnings`` (torch) and by ``logging`` (matplotlib). What
    Python's own options ask for is shown, and where the interpreter crashes.
    """
    logging.getLogger().addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    try:
        kept = os.dup(2)
    except OSError:  # closed by the caller
        return
    sys.stderr.flush()
    sys.stderr = os.fdopen(kept, "w", 1, sys.stderr.encoding, "backslashreplace")
    faulthandler.enable(sys.stderr)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
