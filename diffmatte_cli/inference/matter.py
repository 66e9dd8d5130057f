"""From a photograph and its trimap to alpha: encode once, sample, keep known pixels."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any, Unpack, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..diffusion.samplers import Diffusion
from ..errors import UsageError
from ..model.checkpoint import Metadata
from ..model.config import grids_for
from ..model.diffmatte import DiffMatte
from ..settings import DTYPE_NAMES, Computing, Sampling, SamplingFields, check_device, without_effect
from ..weights.loading import load_network
from ..weights.store import ModelSource
from .canvas import Canvas
from .capture import folded_decoder
from .folding import folded_encoder
from .inputs import INSTEAD, Fields, FileOrArray, Picture, is_batch, pair_of, singles
from .iteration import Alpha, Predict, at_once, iterate, until_stable
from .known import check_not_mask, settled_alpha
from .memory import BASE, MemoryBudget, default_limit, guard_memory, plain_bytes
from .tiles import TiledDecoder

__all__ = ["Encoding", "Matter", "compute_alike", "load_file", "pick_device"]

# Rows per strip in the encoder's first layers.
STRIP = 512
DTYPES = dict(zip(DTYPE_NAMES, (torch.float32, torch.float16, torch.bfloat16), strict=True))


def _silence(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, repr=False)
class Encoding:
    """An image after its one pass through the encoder; ``features`` is F of Eq. 5.

    ``prepared`` holds what all steps and seeds share, by model and whether only the unknown region is computed.
    """

    canvas: Canvas
    features: Tensor
    prepared: dict[tuple["Matter", bool], TiledDecoder] = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        return "Encoding({} x {} pixels)".format(*reversed(self.size))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.canvas.size


class Matter:
    """A model ready to use; make one with ``load_model``."""

    def __init__(
        self,
        model: DiffMatte,
        device: torch.device,
        metadata: Metadata | None = None,
        computing: Computing = Computing(),
        tell: Callable[[str], None] = _silence,
        name: str = "",
        **changes: Any,
    ) -> None:
        """Move a model to a device; ``changes`` replace fields of ``computing``, ``tell`` receives messages.

        ``name`` is what the model is called, by default as its variant.
        """
        self.computing = replace(computing, **changes)
        if self.computing.threads is not None:
            torch.set_num_threads(self.computing.threads)
        compute_alike()
        self.model, self.name = model.fold().on(device), name or model.config.variant
        self.device, self.metadata, self.tell = device, metadata or {}, tell
        self._has_told = False
        self.diffusion = Diffusion(model.config.schedule, model.config.input_scale, model.config.noise)
        self.limit = self.computing.memory or default_limit(device)
        self.dtype = DTYPES[self.computing.precision]
        model.use_attention(self.computing.attention_grids or 1, whole=self.computing.plain)
        self.encoder = model.encoder if self.computing.plain else folded_encoder(model.encoder)
        self.decoder = None if self.computing.plain else folded_decoder(model.decoder, self.dtype)

    def __repr__(self) -> str:
        return f"Matter({self.name} on {self.device}, {self.computing.precision})"

    def encode(
        self, image: Picture, trimap: Picture | None = None, *, mask: Picture | None = None, band: float | None = None
    ) -> Encoding:
        """Run the encoder on a photograph and its trimap, or a mask of which a trimap is made.

        Each is a path, an image of Pillow, an array (uint8, uint16 of full range, floats in [0, 1]; [H, W, 3] or
        [H, W]) or a tensor ([3, H, W] or [1, H, W]); of RGBA the colour counts. In the trimap less than 10 % of white
        means background, more than 90 % foreground, in between unknown. ``band`` is the width of the unknown region on
        either side of a mask's edge, in percent of the longer side.

        Raises ImageError if shapes or types do not fit, MaskError where such a trimap is a mask; ResourceError if
        memory does not suffice.
        """
        return self._encode(*pair_of(image, trimap, mask, band, self.tell))

    @torch.no_grad()
    def _encode(self, image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> Encoding:
        """Run the encoder on a photograph's colour [H, W, 3] and its trimap's classes [H, W]."""
        budget = self._budget(*trimap.shape)
        need = plain_bytes(self.model.config, *trimap.shape) if self.computing.plain else budget.encoding - BASE
        with guard_memory(need, self.device, *trimap.shape):
            canvas = Canvas.of(self.model, image, trimap, self.device)
            if self.computing.plain:
                return Encoding(canvas, self.model.encode(canvas.condition()))
            self._divide_attention(*canvas.padded)
            if budget.encoding > self.limit:
                self.tell(f"encoding takes about {budget.encoding / 2**30:.2g} GiB, more than the memory budget")
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                features = self.encoder.in_strips(
                    lambda rows: canvas.condition((rows, slice(0, canvas.padded[1]))).encoder_input,
                    canvas.padded[0],
                    STRIP,
                )
        return Encoding(canvas, features.float())

    def steps(
        self,
        image: Picture | Encoding,
        trimap: Picture | None = None,
        sampling: Sampling = Sampling(),
        *,
        mask: Picture | None = None,
        band: float | None = None,
        noise: Alpha | None = None,
        draws: Alpha | None = None,
        truth: Alpha | None = None,
        **changes: Unpack[SamplingFields],
    ) -> Iterator[Alpha]:
        """Yield the alpha of every step, float32 [H, W] in [0, 1]; the last one is the result.

        Without an unknown region nothing is computed, unless the raw prediction is requested. A model that does not
        iterate yields once, whatever the settings of the iteration are, and tells that they have no effect.

        Arguments:
            image, trimap, mask, band: as for ``encode``, or an ``Encoding`` alone.
            sampling, changes: the settings, and fields to replace, as in ``steps(image, trimap, seed=3)``.
            noise: float32 [H, W], x_T instead of the one drawn from the seed.
            draws: float32 [steps, H, W], the fresh noise of each step of ddpm likewise.
            truth: float32 [H, W] in [0, 1], the true alpha to make every x_t from instead of predictions
                (consistent sampling, Fig. 9), which shows the cost of earlier steps' errors; ddim only.

        Raises UsageError for settings out of range, MaskError for a trimap of black and white alone, and what
        ``encode`` raises.
        """
        sampling, iterates = replace(sampling, **changes), self.model.config.iterates
        if not iterates:
            if any(given is not None for given in (noise, draws, truth)):
                raise UsageError(f"{self.model.config.variant} does not iterate: leave out noise, draws and truth")
            if (text := without_effect(changes, sampling)) and not self._has_told:
                self._has_told = True
                self.tell(text)
            sampling = sampling.at_once()
        if isinstance(image, Encoding):
            classes = image.canvas.levels[0, 0].cpu().numpy()
        else:
            image, classes = pair_of(image, trimap, mask, band, self.tell)
            if mask is None:
                check_not_mask(classes, sampling, INSTEAD)
        if (settled := settled_alpha(classes, sampling)) is not None:
            return repeat(settled, int(sampling.steps))
        encoding = image if isinstance(image, Encoding) else self._encode(image, classes)
        predict, own = self._predictor(encoding, sampling), self.diffusion
        if not iterates:
            return at_once(predict, encoding.size, self.device)
        scale = sampling.input_scale or own.input_scale
        diffusion = replace(own, schedule=sampling.schedule or own.schedule, input_scale=scale)
        alphas = iterate(predict, encoding.size, self.device, diffusion, sampling, noise, draws, truth)
        return until_stable(alphas, encoding.canvas.unknown, sampling.until_stable)

    @overload
    def matte(self, image: Tensor, trimap: Any = None, sampling: Sampling = ..., **more: Unpack[Fields]) -> Tensor: ...
    @overload
    def matte(
        self, image: list[Any] | tuple[Any, ...], trimap: Any = None, sampling: Sampling = ..., **more: Unpack[Fields]
    ) -> list[Any]: ...
    @overload
    def matte(
        self, image: FileOrArray | Encoding, trimap: Any = None, sampling: Sampling = ..., **more: Unpack[Fields]
    ) -> Alpha: ...
    def matte(self, image: Any, trimap: Any = None, sampling: Sampling = Sampling(), **more: Unpack[Fields]) -> Any:
        """Return alpha, float32 [H, W] in [0, 1]; arguments as for ``steps``.

        A tensor [3, H, W] gives a tensor on its device. A batch [B, 3, H, W] with trimaps or masks [B, 1, H, W] gives a
        tensor [B, H, W], and a list of photographs with one of trimaps or masks a list of alphas: one after another.
        """
        rest: Any = more
        if is_batch(image):
            masks = singles(rest.pop("mask", None), image, "mask")
            guides = zip(image, singles(trimap, image, "trimap"), masks, strict=True)
            alphas = [self.matte(photo, drawn, sampling, mask=mask, **rest) for photo, drawn, mask in guides]
            return torch.stack(alphas) if isinstance(image, Tensor) else alphas
        alpha = deque(self.steps(image, trimap, sampling, **rest), maxlen=1).pop()
        return torch.from_numpy(alpha).to(image.device) if isinstance(image, Tensor) else alpha

    def _predictor(self, encoding: Encoding, sampling: Sampling) -> Predict:
        """Return the sampler's view of the network: (x_in, t) -> x_0 in [-1, 1], [1, 1, H, W]."""
        canvas, (height, width), keep_known = encoding.canvas, encoding.size, sampling.keep_known
        in_part = keep_known and not sampling.whole and not self.computing.plain
        if self.computing.plain:
            network, need = self._plain_network(encoding), plain_bytes(self.model.config, height, width)
        else:
            network = self._region_network(encoding, in_part)
            need = self._budget(height, width).smallest_tile

        @torch.no_grad()
        def predict(x_in: Tensor, t: float) -> Tensor:
            with guard_memory(need, self.device, height, width):
                x_0 = network(x_in, t)
            return torch.where(canvas.unknown, x_0, canvas.settled) if keep_known and not in_part else x_0

        return predict

    def _plain_network(self, encoding: Encoding) -> Predict:
        """Return the paper's decoder, over the whole image."""
        condition = encoding.canvas.condition()

        def network(x_in: Tensor, t: float) -> Tensor:
            times = torch.tensor([t], device=self.device)
            x_0: Tensor = self.model.decode(x_in, times, condition, encoding.features)
            return x_0

        return network

    def _region_network(self, encoding: Encoding, in_part: bool) -> Predict:
        """Return the decoder for the unknown pixels, with x_0 settled elsewhere, or for all unless ``in_part``."""
        tiles = encoding.prepared.get((self, in_part)) or self._tiles(encoding, in_part)
        encoding.prepared[self, in_part] = tiles

        def network(x_in: Tensor, t: float) -> Tensor:
            x_0 = encoding.canvas.settled
            for places, logits in tiles.logits(x_in, t):
                x_0.view(-1)[places] = 2 * torch.sigmoid(logits) - 1
            return x_0

        return network

    def _tiles(self, encoding: Encoding, in_part: bool) -> TiledDecoder:
        assert self.decoder is not None
        unknown = encoding.canvas.unknown[0, 0]
        wanted, budget = unknown if in_part else torch.ones_like(unknown), self._budget(*encoding.size)
        return TiledDecoder(self.decoder, encoding.canvas, encoding.features, wanted, budget, self.tell)

    def _budget(self, height: int, width: int) -> MemoryBudget:
        return MemoryBudget(self.model.config, self.limit, height, width)

    def _divide_attention(self, height: int, width: int) -> None:
        """Choose the grids of global attention for an image, unless given."""
        if self.computing.attention_grids is None and self.model.config.global_attention:
            grids = grids_for(height, width)
            self.model.use_attention(grids)
            if grids > 1:
                self.tell(
                    f"global attention works within {grids} x {grids} interleaved grids on {width}x{height} pixels:"
                    " set attention grids to 1 for full attention, which is much slower"
                )


def load_file(
    source: ModelSource,
    device: torch.device,
    computing: Computing = Computing(),
    tell: Callable[[str], None] = _silence,
) -> Matter:
    """Load the file of a model that ``obtain`` returned.

    Raises WeightsError if the variant differs, or the bytes from those that the model's sha256 is of.
    """
    network, metadata = load_network(source.path, source.sha256, source.record)
    return Matter(network, device, metadata, computing, tell, source.name)


def compute_alike() -> None:
    """Make a GPU's results reproducible, and like the CPU's."""
    torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32 = True, False


def pick_device(spec: str) -> torch.device:
    """Turn auto, cpu, cuda, cuda:N or mps into an available device; raises UsageError otherwise."""
    check_device(spec)
    kind, _, number = spec.partition(":")
    gpus, has_mps = torch.cuda.device_count(), torch.backends.mps.is_available()
    if kind == "auto":
        return torch.device("cuda" if gpus else "mps" if has_mps else "cpu")
    if kind == "cuda" and int(number or 0) >= gpus:
        raise UsageError(f"device {spec} is not available, torch sees {gpus} CUDA devices: use cpu", "device")
    if kind == "mps" and not has_mps:
        raise UsageError("device mps is not available: use cpu", "device")
    return torch.device(spec)
