"""Measure the fast path against the plain one: seconds, memory, arithmetic, and the difference of their alphas."""

import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from ..inference.matter import Matter
from ..inference.peak import peak_memory
from ..model.checkpoint import read_model
from ..model.config import VARIANTS, ModelConfig, grids_for
from ..model.diffmatte import DiffMatte
from ..settings import Computing, Sampling
from ..trimaps.trimap import UNKNOWN

__all__ = ["Case", "Timing", "bench", "encoder_macs", "plain_step_macs", "scene", "timed"]

Image = NDArray[np.uint8]
# Radius of a subject, in sides of the image, and the band's share of the image that it is for.
RADIUS, AT_SHARE = 0.4, 0.1
PRODUCT = 2048


@dataclass(frozen=True)
class Case:
    """What is measured: ``weights`` is a file, or the name of a variant for seeded random ones."""

    weights: str | Path
    device: str = "cpu"
    computing: Computing = Computing()
    sampling: Sampling = Sampling()

    def matter(self, plain: bool) -> Matter:
        """Load the model for one of the two paths."""
        if isinstance(self.weights, Path):
            network, _ = read_model(self.weights)
        else:
            torch.manual_seed(0)
            network = DiffMatte(VARIANTS[self.weights]).eval()
        computing = replace(self.computing, plain=True, precision="fp32") if plain else self.computing
        return Matter(network, torch.device(self.device), computing=computing)


@dataclass(frozen=True)
class Timing:
    """Seconds of one run, and its alpha."""

    encoder: float
    total: float
    alpha: NDArray[np.float32]


def bench(
    case: Case, image: Image, trimap: Image, repeat: int, with_plain: bool, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Time both paths in alternation, ``repeat`` times, and measure each one's memory in its own process.

    ``image`` is uint8 [H, W, 3], ``trimap`` uint8 [H, W]. Returns what ``diffmatte bench --json`` prints: seconds
    are medians, ``spread`` the range of the total ratios over their median, differences in 1/255 over the
    unknown region. A model that does not iterate takes its one step.
    """
    paths = {name: case.matter(name == "plain") for name in (("plain", "fast") if with_plain else ("fast",))}
    config = paths["fast"].model.config
    if not config.iterates:
        case = replace(case, sampling=case.sampling.at_once())
    runs: dict[str, list[Timing]] = {name: [] for name in paths}
    for matter in paths.values():  # warms up
        corner = np.ascontiguousarray(image[:64, :64])
        timed(matter, corner, np.full(corner.shape[:2], UNKNOWN, np.uint8), replace(case.sampling, steps=1))
    for number in range(repeat):
        for name, matter in paths.items():
            tell(f"{name}, {number + 1} of {repeat}")
            runs[name].append(timed(matter, image, trimap, case.sampling))
    rate = _product_rate(paths["fast"].device)
    del matter  # to free the GPU
    paths.clear()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    report: dict[str, Any] = {
        "size": [trimap.shape[1], trimap.shape[0]],
        "unknown": float((trimap == UNKNOWN).mean()),
        "model": config.variant,
        "trained": isinstance(case.weights, Path),
        "device": case.device,
        "threads": torch.get_num_threads(),
        "precision": case.computing.precision,
        "steps": case.sampling.steps,
        "repeat": repeat,
        "product_gmacs_per_second": rate / 1e9,
    }
    for name, done in runs.items():
        tell(f"{name}, memory and arithmetic")
        report[name] = _summary(case, config, name == "plain", image, trimap, done, rate)
    if with_plain:
        report["ratio"] = _ratios(runs["plain"], runs["fast"])
        report["difference"] = _difference(runs["plain"][0].alpha, runs["fast"][0].alpha, trimap == UNKNOWN)
    return report


def scene(height: int, width: int, share: float) -> tuple[Image, Image]:
    """Draw a soft subject before a background: photograph uint8 [H, W, 3], trimap uint8 [H, W].

    The unknown region is about ``share`` of the image, in a band along a wavy outline; the smaller it
    is, the smaller the subject, as in real trimaps. With 1 everything is unknown.
    """
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    radius = RADIUS * min(height, width) * min(1.0, math.sqrt(share / AT_SHARE))
    across, down = columns - width / 2, rows - height / 2
    angle = np.arctan2(down, across)
    distance = np.hypot(across, down) / (1 + 0.06 * np.sin(7 * angle) + 0.04 * np.sin(13 * angle))
    band = share * height * width / (2 * math.pi * radius * 1.05)
    alpha = np.clip((radius - distance) / (0.8 * band) + 0.5, 0, 1)[..., None]
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 6, (height, width, 1)).astype(np.float32)
    coat = np.array([150, 110, 70], np.float32) + 40 * np.sin(rows / 3 + columns / 7)[..., None]
    meadow = np.array([70, 130, 60], np.float32) + 30 * np.sin(columns / 40 + rows / 90)[..., None]
    image = np.clip(alpha * coat + (1 - alpha) * meadow + grain, 0, 255).astype(np.uint8)
    trimap = np.where(distance < radius - band / 2, 255, np.where(distance > radius + band / 2, 0, 128))
    return image, np.full((height, width), 128, np.uint8) if share >= 1 else trimap.astype(np.uint8)


def encoder_macs(config: ModelConfig, height: int, width: int, plain: bool = False) -> int:
    """Count the encoder's multiply-accumulates for an image, as Table 1 does."""
    height, width = config.padded_size(height, width)
    grids = grids_for(height, width) if config.global_attention and not plain else 1
    with torch.device("meta"):
        network = DiffMatte(config).eval()
        network.use_attention(grids, whole=True)
        seen = torch.empty(1, config.encoder_channels, height, width)
        return _count(lambda: network.encoder(seen))


def plain_step_macs(config: ModelConfig, height: int, width: int) -> int:
    """Count the multiply-accumulates of one plain decoder step over an image, as Table 1 does."""
    height, width = config.padded_size(height, width)
    stride = config.feature_stride
    with torch.device("meta"):
        decoder = DiffMatte(config).eval().decoder
        features = torch.empty(1, config.feature_channels, height // stride, width // stride)
        if not config.iterates:
            seen = torch.empty(1, config.encoder_channels, height, width)
            return _count(lambda: decoder(seen, features))
        x = torch.empty(1, config.condition_channels + 1, height, width)
        return _count(lambda: decoder(x, torch.empty(1), features))


@torch.no_grad()
def _count(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops()) // 2


def timed(matter: Matter, image: Image, trimap: Image, sampling: Sampling) -> Timing:
    """Time one image, encoding and sampling."""
    began = time.perf_counter()
    encoding = matter.encode(image, trimap)
    _wait(matter.device)
    encoded = time.perf_counter()
    alpha = matter.matte(encoding, sampling=sampling)
    return Timing(encoded - began, time.perf_counter() - began, alpha)


def _summary(
    case: Case, config: ModelConfig, plain: bool, image: Image, trimap: Image, runs: list[Timing], rate: float
) -> dict[str, float | int]:
    """Return one path's figures."""
    step = median((run.total - run.encoder) / case.sampling.steps for run in runs)
    encoder = median(run.encoder for run in runs)
    height, width = trimap.shape
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        peak, macs = pool.submit(_measure, case, plain, image, trimap).result()
    return {
        "encoder_seconds": encoder,
        "step_seconds": step,
        "total_seconds": median(run.total for run in runs),
        "peak_bytes": peak,
        "encoder_macs": encoder_macs(config, height, width, plain),
        "step_macs": macs,
        "step_share_of_product_rate": macs / step / rate,
    }


def _measure(case: Case, plain: bool, image: Image, trimap: Image) -> tuple[int, int]:
    """Return the peak memory of one encoding and two steps, and the multiply-accumulates of a step."""
    matter = case.matter(plain)
    encoding = matter.encode(image, trimap)
    twice = replace(case.sampling, steps=2)
    matter.matte(encoding, sampling=twice)
    peak = torch.cuda.max_memory_allocated(matter.device) if matter.device.type == "cuda" else peak_memory() or 0
    if plain:
        return peak, plain_step_macs(matter.model.config, *trimap.shape)
    steps = matter.steps(encoding, sampling=twice)
    if matter.model.config.iterates:  # the first one also prepares what all share
        next(steps)
    return peak, _count(lambda: next(steps))


def _ratios(plain: list[Timing], fast: list[Timing]) -> dict[str, float]:
    totals = [slow.total / quick.total for slow, quick in zip(plain, fast, strict=True)]
    steps = [(s.total - s.encoder) / (q.total - q.encoder) for s, q in zip(plain, fast, strict=True)]
    return {
        "total": median(totals),
        "step": median(steps),
        "spread": (max(totals) - min(totals)) / median(totals),
        "step_spread": (max(steps) - min(steps)) / median(steps),
    }


def _difference(plain: NDArray[np.float32], fast: NDArray[np.float32], unknown: NDArray[np.bool_]) -> dict[str, float]:
    apart = 255 * np.abs(plain - fast)[unknown]
    return {"largest": float(apart.max(initial=0)), "mean": float(apart.mean()) if apart.size else 0.0}


def _product_rate(device: torch.device) -> float:
    """Return multiply-accumulates a second of this device's float32 matrix product, the best of several."""
    a, b = (torch.ones(PRODUCT, PRODUCT, device=device) for _ in range(2))
    best = math.inf
    for _ in range(6):
        _wait(device)
        began = time.perf_counter()
        a @ b
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return PRODUCT**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    if device.type == "mps":
        torch.mps.synchronize()
