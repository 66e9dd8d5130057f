"""Masks made by segmentation models, which rembg fetches and runs; needs the extra ``auto``."""

import hashlib
import io
import os
import threading
from contextlib import redirect_stdout
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import UsageError, WeightsError, described
from ..imaging.colour import as_shares
from ..process.threads import local_threads

__all__ = ["MaskModel"]


class MaskModel:
    """A segmentation model by rembg's name for it, loaded when the first mask needs it.

    ``name`` may be that of a custom session with its file, as in ``u2net_custom:mine.onnx``. With ``offline`` nothing
    is fetched.
    """

    def __init__(self, name: str, *, offline: bool = False) -> None:
        self.name, self._offline = name, offline
        self._loading = threading.Lock()

    def mask(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the mask of a photograph uint8 [H, W, 3]: float32 [H, W] in [0, 1]; raises WeightsError."""
        session = self._loaded[0]
        try:
            (mask, *_) = session.predict(Image.fromarray(image))
        except Exception as error:  # of ONNX Runtime, all of its own kinds
            raise WeightsError(f"the mask model {self.name} cannot be run: {described(error)}") from error
        return as_shares(np.asarray(mask.convert("L")))

    @property
    def sha256(self) -> str:
        """The sha256 of the model's file; raises UsageError for an unknown name, WeightsError for a missing file."""
        return self._loaded[1]

    @property
    def _loaded(self) -> tuple[Any, str]:
        with self._loading:
            return self._session

    @cached_property
    def _session(self) -> tuple[Any, str]:
        """The session, and the sha256 of its file."""
        with local_threads():  # it loads pymatting, and that Numba
            from rembg import new_session
            from rembg.sessions import sessions_class

        name, _, file = self.name.partition(":")
        kinds = {kind.name(): kind for kind in sessions_class if kind.is_local()}  # others send pictures away
        if name not in kinds:
            raise UsageError(f"the mask model must be one of {', '.join(sorted(kinds))}, not {name!r}", "mask_model")
        kind, settings = kinds[name], {"model_path": file} if file else {}
        there = file or kind.resolve_existing(f"{name}.onnx") or os.path.join(kind.model_dir(), f"{name}.onnx")
        if (file or self._offline) and not os.path.isfile(there):
            raise WeightsError(f"the mask model {self.name} is not on disk: put it at {there}", "mask_model")
        try:
            with redirect_stdout(io.StringIO()):  # standard output is for results
                session = new_session(name, **settings)
            with open(kind.download_models(**settings), "rb") as content:
                return session, hashlib.file_digest(content, "sha256").hexdigest()
        except Exception as error:  # of the network, of files, of ONNX Runtime
            reason = " ".join(str(error).split()) or type(error).__name__
            text = f"the mask model {self.name} cannot be fetched or loaded ({reason}): put it at {there}"
            raise WeightsError(text, "mask_model") from error
