"""Measure what waiting threads cost beside other programs: python docs/measuring/waiting.py [--rounds 7]

README's example is matted as it comes, with libgomp's own number of spins, and with threads that sleep at once; in
turn, alone and beside processes that keep a core busy. Then two such runs side by side, against one after the other.
Printed are medians of seconds and of processor seconds, with their ranges.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut"
MATTE = [sys.executable, "-m", "diffmatte_cli", "matte", f"{EXAMPLE}.jpg", "--trimap", f"{EXAMPLE}_trimap.png"]
MATTE += ["--cutout", "--overwrite", "--quiet", "--device", "cpu", "-o"]
CHOSEN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
SPINS = {f"{count:,} spins": {"GOMP_SPINCOUNT": str(count)} for count in (10_000, 300_000)}
SETTINGS = {"as it comes": {}, **SPINS, "asleep": {"OMP_WAIT_POLICY": "PASSIVE"}}
PLAIN = {name: value for name, value in os.environ.items() if name not in CHOSEN}


def run(settings: dict[str, str], together: int = 1) -> tuple[float, float]:
    """Run some at once; return seconds and processor seconds."""
    began, used = time.perf_counter(), os.times()
    with tempfile.TemporaryDirectory() as folder:
        commands = [[*MATTE, f"{folder}/{number}.png"] for number in range(together)]
        running = [subprocess.Popen(command, env=PLAIN | settings) for command in commands]
        codes = [process.wait() for process in running]
        if any(codes):
            sys.exit("a run failed")
    now = os.times()
    seconds = now.children_user + now.children_system - used.children_user - used.children_system
    return time.perf_counter() - began, seconds


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep ``count`` processes busy."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def told(figures: list[float]) -> str:
    """Return median and range."""
    return f"{median(figures):.2f} ({min(figures):.2f} to {max(figures):.2f})"


def main() -> None:
    """Print a row for each number of busy processes and each setting, then the two side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print("| beside | threads | seconds | processor seconds |\n|---|---|---|---|")
    for count in (0, 1, 3):
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in SETTINGS}
        with busy(count):
            for _ in range(rounds):
                for name, settings in SETTINGS.items():
                    found[name].append(run(settings))
        for name, figures in found.items():
            wall, used = (told(list(column)) for column in zip(*figures, strict=True))
            print(f"| {count} busy | {name} | {wall} | {used} |", flush=True)
    ratios = []
    for _ in range(rounds):
        after = run({})[0] + run({})[0]
        ratios.append(run({}, together=2)[0] / after)
    print(f"\nTwo side by side, of the time of one after the other: {told(ratios)}")


if __name__ == "__main__":
    main()
