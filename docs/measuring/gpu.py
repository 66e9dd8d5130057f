"""Measure what a GPU does, in one call of some ten minutes: python docs/measuring/gpu.py [--device cuda] > gpu.md

Prints three tables: whether the device gives the CPU's alpha, and the same bytes twice; models against the plain
float32 path, and against the device's rate of float32 products; how busy it is with a folder of photographs. With
``--device cpu --scale 0.1 --pictures 4`` the script itself is tried. Rows come as they are done; what an error ends
says so, and the next row follows.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.profiler import ProfilerActivity, profile

from diffmatte_cli.benchmark.bench import Case, bench, scene
from diffmatte_cli.settings import Computing, Sampling
from diffmatte_cli.weights.pulling import obtain
from diffmatte_cli.weights.store import WeightsStore, resolve_model

UNKNOWN = 0.1
AGREEMENT = 2e-3  # of the CPU's alpha
# Model, height and width, precision, whether the plain path is measured, too.
CASES = [
    ("tiny", (1024, 1024), "fp32", True),
    ("tiny", (1024, 1024), "bf16", False),
    ("vits", (1024, 1024), "fp32", True),
    ("vits", (1024, 1024), "bf16", False),
    ("vitb", (2048, 2048), "fp32", True),
    ("vitb", (2048, 2048), "bf16", False),
    ("tiny", (4000, 6000), "fp32", True),
    ("tiny", (4000, 6000), "bf16", False),
]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--scale", type=float, default=1.0, help="of all sides")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=200)
    options = parser.parse_args()
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device
    print(f"{name}, torch {torch.__version__}, {options.steps} steps, {UNKNOWN:.0%} unknown, {sys.argv[1:]}\n")

    def side(length: int) -> int:
        return max(64, round(length * options.scale))

    table("model", "largest difference from the CPU's alpha", "allowed", "same bytes twice")
    for model in ("tiny", "vitmatte-s"):
        row(lambda model=model: agreement(model, side(512), options.device), model)
    table(
        "model", "size", "precision", "all, s", "encoder, s", "a step, ms", "operations a step", "product rate",
        "memory, GiB", "plain / usual (spread)", "plain memory / usual", "alpha apart, of 255",
    )  # fmt: skip
    for model, size, precision, with_plain in CASES:
        height, width = (side(length) for length in size)
        case = Case(file_of(model), options.device, Computing(precision=precision), Sampling(steps=options.steps))
        row(lambda c=case, h=height, w=width, p=with_plain: measured(c, h, w, options.repeat, p), model)
    table("pictures", "size", "seconds", "a picture, s", "device busy")
    row(lambda: folder(options.pictures, side(1024), options.device, options.steps), f"{options.pictures}")


def table(*columns: str) -> None:
    """Print a table's head."""
    print("\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns), flush=True)


def row(cells: Callable[[], list[str]], what: str) -> None:
    """Print a row, or why there is none."""
    try:
        found = cells()
    except Exception as error:
        found = [what, f"{type(error).__name__}: {error}".replace("\n", " ")]
    print("| " + " | ".join(found) + " |", flush=True)


def file_of(model: str) -> str | Path:
    """Return the weights of a model that is there, or its name for random ones."""
    store = WeightsStore(offline=True)
    try:
        return obtain(resolve_model(model, store), store, progress=False).path
    except Exception:
        return model


def agreement(model: str, side: int, device: str) -> list[str]:
    """Compare the device's alpha with the CPU's, and with its own."""
    image, trimap = scene(side, side, UNKNOWN)
    matters = [Case(file_of(model), where).matter(False) for where in ("cpu", device)]
    on_cpu, here, again = (matter.matte(image, trimap, steps=3) for matter in (*matters, matters[1]))
    apart = float(np.abs(on_cpu - here).max())
    return [model, f"{apart:.1e}", f"{AGREEMENT} {'held' if apart <= AGREEMENT else '**missed**'}",
            "yes" if np.array_equal(here, again) else "**no**"]  # fmt: skip


def measured(case: Case, height: int, width: int, repeat: int, with_plain: bool) -> list[str]:
    """Time a model as ``diffmatte bench`` does."""
    image, trimap = scene(height, width, UNKNOWN)
    report = bench(case, image, trimap, repeat, with_plain, lambda _: None)
    fast, plain = report["fast"], report.get("plain")
    cells = [
        report["model"] + ("" if report["trained"] else " (random)"),
        f"{width}x{height}",
        report["precision"],
        f"{fast['total_seconds']:.3f}",
        f"{fast['encoder_seconds']:.3f}",
        f"{1000 * fast['step_seconds']:.1f}",
        operations(case, image, trimap),
        f"{fast['step_share_of_product_rate']:.0%} of {report['product_gmacs_per_second']:.0f} G/s",
        f"{fast['peak_bytes'] / 2**30:.2f}",
    ]
    if plain is None:
        return [*cells, "", "", ""]
    ratio, apart = report["ratio"], report["difference"]
    return [
        *cells,
        f"{ratio['total']:.1f} ({ratio['spread']:.0%})",
        f"{plain['peak_bytes'] / fast['peak_bytes']:.1f}",
        f"{apart['largest']:.4f}, mean {apart['mean']:.5f}",
    ]


def operations(case: Case, image: np.ndarray, trimap: np.ndarray) -> str:
    """Count what a later step starts on the device, and tell the share of its time that this is at work."""
    matter, on_gpu = case.matter(False), case.device.startswith("cuda")
    steps = matter.steps(matter.encode(image, trimap), sampling=replace(case.sampling, steps=4))
    next(steps), next(steps)
    began = time.perf_counter()
    next(steps)
    plain_seconds = time.perf_counter() - began
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=kinds) as profiled:
        next(steps)
    if not on_gpu:
        return f"{sum(event.count for event in profiled.key_averages() if event.self_cpu_time_total)}"
    busy = [event for event in profiled.key_averages() if event.device_type == torch.autograd.DeviceType.CUDA]
    microseconds = sum(event.self_device_time_total for event in busy)
    return f"{sum(event.count for event in busy)}, at work {microseconds / 1e6 / plain_seconds:.0%}"


def folder(count: int, side: int, device: str, steps: int) -> list[str]:
    """Matte a folder of drawn photographs by the command line, and watch the device."""
    with tempfile.TemporaryDirectory() as place:
        for name in ("photos", "trimaps"):
            Path(place, name).mkdir()
        image, trimap = scene(side, side, UNKNOWN)
        for number in range(count):
            moved = np.roll(image, 7 * number, axis=1), np.roll(trimap, 7 * number, axis=1)
            for name, pixels in zip(("photos", "trimaps"), moved, strict=True):
                Image.fromarray(pixels).save(f"{place}/{name}/{number:04d}.png", compress_level=1)
        watch = None
        if device.startswith("cuda"):
            asked = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
            watch = subprocess.Popen(asked, stdout=subprocess.PIPE, text=True)
        command = [sys.executable, "-m", "diffmatte_cli", "matte", f"{place}/photos", "--trimap", f"{place}/trimaps"]
        command += ["-o", f"{place}/alphas", "--device", device, "--steps", str(steps), "--quiet"]
        began = time.perf_counter()
        subprocess.run(command, check=True)
        seconds, busy = time.perf_counter() - began, ""
        if watch is not None:
            watch.terminate()
            shares = [int(line) for line in watch.communicate()[0].split() if line.isdecimal()]
            busy = f"{np.mean(shares):.0f} % of the whole time, {np.median(shares):.0f} % in the median"
    return [f"{count}", f"{side}x{side}", f"{seconds:.1f}", f"{seconds / count:.3f}", busy]


if __name__ == "__main__":
    main()
