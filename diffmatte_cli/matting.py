"""From a photograph and its trimap to alpha: encode once, sample, keep what is known."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import ImageError, UsageError, WeightsError
from .hub import obtain
from .memory import guard_memory
from .model.checkpoint import Metadata, read_model
from .model.config import SCHEDULE_NAMES, check_device, check_steps
from .model.diffmatte import Condition, DiffMatte
from .sampling import SAMPLERS, Diffusion, Step
from .trimap import parse_trimap
from .weights import ModelSource, Store, resolve_model

__all__ = ["Encoding", "Matter", "load_file", "load_model", "pick_device"]

Alpha = NDArray[np.float32]


@dataclass(frozen=True)
class Encoding:
    """A picture after its one pass through the encoder.

    ``features`` is F of Eq. 5; ``known`` [1, 1, H, W] is true where the trimap decides, ``decided``
    what it decides, 0 or 1.
    """

    condition: Condition
    features: Tensor
    known: Tensor
    decided: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture."""
        return self.known.shape[-2], self.known.shape[-1]


class Matter:
    """A model ready to use; make one with ``load_model``."""

    def __init__(
        self, model: DiffMatte, device: torch.device, metadata: Metadata | None = None, attention_grids: int = 1
    ) -> None:
        # The same bytes from run to run, and what the CPU gives.
        torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32 = True, False
        model.use_attention_grids(attention_grids)
        self.model = model.fold().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.device = device
        self.metadata = metadata or {}
        self.diffusion = Diffusion(model.config.schedule, model.config.input_scale)

    @torch.no_grad()
    def encode(self, image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> Encoding:
        """Run the encoder on ``image`` uint8 [H, W, 3] and ``trimap`` uint8 [H, W].

        Below 10 % of 255 the trimap means background, above 90 % foreground, in between unknown.

        Raises ImageError when shapes or types do not fit, ResourceError when memory does not.
        """
        _check_pair(image, trimap)
        height, width = trimap.shape
        with guard_memory(self.model.config, self.device, height, width):
            pixels = torch.tensor(image.copy(), device=self.device).permute(2, 0, 1)[None]
            classes = parse_trimap((trimap / 255).astype(np.float32))
            levels = torch.tensor(classes, device=self.device)[None, None]
            decided = torch.where(levels == 128, 0.5, (levels > 128).float())
            condition = self.model.condition(pixels.float() / 255, decided)
            features = self.model.encode(condition)
        return Encoding(condition, features, levels != 128, decided)

    def steps(
        self,
        image: NDArray[np.uint8] | Encoding,
        trimap: NDArray[np.uint8] | None = None,
        *,
        steps: int = 10,
        seed: int = 0,
        noise: Alpha | None = None,
        draws: Alpha | None = None,
        sampler: str = "ddim",
        schedule: str | None = None,
        input_scale: float | None = None,
        keep_known: bool = True,
    ) -> Iterator[Alpha]:
        """Yield the alpha of every step, float32 [H, W] in [0, 1]; the last one is the result.

        Arguments: ``image`` and ``trimap`` as for ``encode``, or an ``Encoding`` alone;
        ``steps`` T of Algorithm 2; ``noise`` float32 [H, W], x_T instead of the one drawn from
        ``seed``; ``draws`` float32 [steps, H, W], the fresh noise of each step of ddpm likewise;
        ``schedule`` and ``input_scale`` default to what the weights were trained with;
        ``keep_known=False`` computes the whole picture as the paper does, otherwise known
        pixels hold the trimap's alpha at every step.
        """
        diffusion = self._diffusion(schedule, input_scale)
        _check_sampling(steps, sampler)
        encoding = self._encoding(image, trimap)
        generator = torch.Generator().manual_seed(int(seed))

        def draw() -> Tensor:
            return torch.randn(encoding.known.shape, generator=generator).to(self.device)

        x_t = draw() if noise is None else _given(noise, encoding.size).to(self.device)
        fresh = draw if draws is None else _replay(_given(draws, (int(steps), *encoding.size)).to(self.device))
        predict = self._predictor(encoding, keep_known)
        return _alphas(SAMPLERS[sampler](predict, x_t, diffusion, int(steps), fresh))

    def _predictor(self, encoding: Encoding, keep_known: bool) -> Callable[[Tensor, float], Tensor]:
        """Return the sampler's view of the network: (x_in, t) -> x_0 in [-1, 1], [1, 1, H, W]."""

        @torch.no_grad()
        def predict(x_in: Tensor, t: float) -> Tensor:
            with guard_memory(self.model.config, self.device, *encoding.size):
                times = torch.tensor([t], device=self.device)
                x_0 = self.model.decode(x_in, times, encoding.condition, encoding.features)
            return torch.where(encoding.known, 2 * encoding.decided - 1, x_0) if keep_known else x_0

        return predict

    def matte(
        self,
        image: NDArray[np.uint8] | Encoding,
        trimap: NDArray[np.uint8] | None = None,
        *,
        steps: int = 10,
        seed: int = 0,
        noise: Alpha | None = None,
        draws: Alpha | None = None,
        sampler: str = "ddim",
        schedule: str | None = None,
        input_scale: float | None = None,
        keep_known: bool = True,
    ) -> Alpha:
        """Return alpha, float32 [H, W] in [0, 1]; arguments as for ``steps``."""
        iteration = self.steps(
            image,
            trimap,
            steps=steps,
            seed=seed,
            noise=noise,
            draws=draws,
            sampler=sampler,
            schedule=schedule,
            input_scale=input_scale,
            keep_known=keep_known,
        )
        *_, alpha = iteration
        return alpha

    def _encoding(self, image: NDArray[np.uint8] | Encoding, trimap: NDArray[np.uint8] | None) -> Encoding:
        if isinstance(image, Encoding):
            return image
        if trimap is None:
            raise ImageError("a photograph needs its trimap: pass both, or the result of encode()")
        return self.encode(image, trimap)

    def _diffusion(self, schedule: str | None, input_scale: float | None) -> Diffusion:
        if schedule is not None and schedule not in SCHEDULE_NAMES:
            raise UsageError(f"there is no schedule {schedule!r}: use one of {', '.join(SCHEDULE_NAMES)}")
        if input_scale is not None and not 0 < input_scale <= 1:
            raise UsageError(f"input scale {input_scale} is outside (0, 1]: leave it out for the weights' own")
        own = self.diffusion
        return replace(own, schedule=schedule or own.schedule, input_scale=input_scale or own.input_scale)


def _alphas(iteration: Iterator[Step]) -> Iterator[Alpha]:
    for step in iteration:
        alpha = ((step.x_0 + 1) / 2)[0, 0].cpu().numpy()
        if not np.isfinite(alpha).all():
            raise WeightsError("the model computed values that are not numbers: its weights are unusable")
        yield alpha


def load_model(
    model: str | Path = "tiny",
    device: str | torch.device = "cpu",
    *,
    weights_file: str | Path | None = None,
    cache_dir: str | Path | None = None,
    offline: bool = False,
    attention_grids: int = 1,
) -> Matter:
    """Load a model by name or file, ready to matte; one that is on the Hub is pulled the first time.

    Arguments: ``weights_file`` adds models of one's own, ``cache_dir`` is where pulled and imported
    weights lie, ``offline`` keeps to what is on disk; ``attention_grids`` n makes a ViT's global
    attention work within n x n interleaved grids.

    Raises UsageError for an unknown name or absent device, WeightsError for an unusable file or a
    failed download.
    """
    where = pick_device(str(device))
    store = Store(Path(weights_file) if weights_file else None, Path(cache_dir) if cache_dir else None, offline)
    source = resolve_model(model, store)
    return load_file(source, obtain(source, store), where, attention_grids)


def load_file(source: ModelSource, path: Path, device: torch.device, attention_grids: int = 1) -> Matter:
    """Load what ``obtain`` returned for a resolved model; raises WeightsError when it is another variant's."""
    network, metadata = read_model(path)
    found = network.config.variant
    if source.record is not None and source.record.variant != found:
        raise WeightsError(
            f"{path} holds {found}, but {source.name} is {source.record.variant} by its table: correct the weights file"
        )
    return Matter(network, device, metadata, attention_grids)


def pick_device(spec: str) -> torch.device:
    """Turn auto, cpu, cuda, cuda:N or mps into a device that is there; anything else is a UsageError."""
    check_device(spec)
    kind, _, number = spec.partition(":")
    gpus, has_mps = torch.cuda.device_count(), torch.backends.mps.is_available()
    if kind == "auto":
        return torch.device("cuda" if gpus else "mps" if has_mps else "cpu")
    if kind == "cuda" and int(number or 0) >= gpus:
        raise UsageError(f"device {spec} was asked for but torch sees {gpus} CUDA devices: use --device cpu")
    if kind == "mps" and not has_mps:
        raise UsageError("device mps was asked for but is not available here: use --device cpu")
    return torch.device(spec)


def _check_pair(image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"a photograph must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
    if trimap.dtype != np.uint8 or trimap.shape != image.shape[:2]:
        raise ImageError(
            f"a trimap must be uint8 {list(image.shape[:2])} like its photograph, "
            f"not {trimap.dtype} {list(trimap.shape)}"
        )
    if trimap.size == 0:
        raise ImageError("the photograph has no pixels")


def _check_sampling(steps: int, sampler: str) -> None:
    check_steps(steps)
    if sampler not in SAMPLERS:
        raise UsageError(f"there is no sampler {sampler!r}: use one of {', '.join(SAMPLERS)}")


def _given(noise: Alpha, shape: tuple[int, ...]) -> Tensor:
    if noise.shape != shape:
        raise ImageError(f"noise has shape {list(noise.shape)} but must have {list(shape)}")
    return torch.tensor(noise.copy(), dtype=torch.float32)[None, None]


def _replay(draws: Tensor) -> Callable[[], Tensor]:
    """Return what gives ``draws`` [1, 1, steps, H, W] one after another."""
    return iter(draws.unbind(2)).__next__
