"""Say what more sampling steps gain on the same pictures, with the standard error of the mean over pictures.

    python docs/measuring/gain.py SCORES.csv FIRST LAST

SCORES.csv is of `diffmatte evaluate --model ... --steps ... --csv SCORES.csv`; FIRST and LAST are two of its numbers
of steps.
"""

import argparse
import csv
from pathlib import Path
from statistics import fmean, stdev

METRICS = ("sad", "mse", "grad", "conn")


def main() -> None:
    """Print a row for each metric: its mean at LAST steps less that at FIRST."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores", type=Path)
    parser.add_argument("first")
    parser.add_argument("last")
    options = parser.parse_args()
    rows = [row for row in csv.DictReader(options.scores.read_text().splitlines()) if row["name"] != "mean"]
    first, last = ([row for row in rows if row["steps"] == steps] for steps in (options.first, options.last))
    for metric in METRICS:
        gains = [float(b[metric]) - float(a[metric]) for a, b in zip(first, last, strict=True)]
        print(f"{metric:4} {fmean(gains):+.2f} ± {stdev(gains) / len(gains) ** 0.5:.2f}")


if __name__ == "__main__":
    main()
