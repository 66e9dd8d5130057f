"""What a run tells of itself: CSV files, and TensorBoard if asked for."""

import csv
import time
from pathlib import Path
from typing import Any

from ..imaging.encoding import Result
from ..imaging.write import write_images
from ..storage.atomic import staged_file
from ..storage.tables import read_table
from .synthesis.layers import Bytes

__all__ = ["Log"]


class Log:
    """``losses.csv`` and ``validation.csv`` in a run's folder; rows after the resumed step are dropped.

    So are those of a validation at that step, which is made again.

    With ``tensorboard`` the same numbers, and previews, are written for TensorBoard as well.
    """

    def __init__(self, folder: Path, step: int, tensorboard: bool) -> None:
        self.folder, self.began = folder, time.monotonic()
        self.board = _board(folder, step) if tensorboard else None
        for path, last in ((folder / "losses.csv", step), (folder / "validation.csv", step - 1)):
            rows = [row for _, row in read_table(path, "log") if isinstance(row, dict)] if path.exists() else []
            kept = [row for row in rows if (at := row.get("step", "")).isdecimal() and int(at) <= last]
            if kept and step:
                with staged_file(path) as temporary, temporary.open("w", newline="") as file:
                    writer = csv.DictWriter(file, kept[0], lineterminator="\n", extrasaction="ignore")
                    writer.writeheader()
                    writer.writerows(kept)
            else:
                path.unlink(missing_ok=True)

    def losses(self, step: int, rate: float, norm: float, terms: dict[str, float]) -> None:
        """Append one row of loss terms; ``norm`` is the gradient's before clipping."""
        seconds = round(time.monotonic() - self.began, 1)
        values = {name: f"{value:.5g}" for name, value in terms.items()}
        head = {"step": step, "seconds": seconds, "rate": rate, "norm": f"{norm:.4g}"}
        self._append("losses.csv", head | values)
        self._plot("loss", step, terms | {"rate": rate, "norm": norm})

    def validation(self, step: int, steps: int, scores: dict[str, float]) -> None:
        """Append one row of validation errors at ``steps`` sampling steps."""
        self._append(
            "validation.csv", {"step": step, "steps": steps} | {name: f"{score:.6g}" for name, score in scores.items()}
        )
        self._plot(f"validation/T={steps}", step, scores)

    def preview(self, step: int, name: str, sheet: Bytes) -> None:
        """Write one picture, uint8 [H, W, 3], of a validation."""
        write_images([Result(self.folder / f"preview_{step:07d}_{name}.png", sheet)])
        if self.board is not None:
            self.board.add_image(f"preview/{name}", sheet, step, dataformats="HWC")

    def close(self) -> None:
        """Write out what waits to be written."""
        if self.board is not None:
            self.board.close()

    def _plot(self, group: str, step: int, values: dict[str, float]) -> None:
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(f"{group}/{name}", value, step)

    def _append(self, name: str, row: dict[str, Any]) -> None:
        path = self.folder / name
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row, lineterminator="\n")
            if fresh:
                writer.writeheader()
            writer.writerow(row)


def _board(folder: Path, step: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(folder / "tensorboard", purge_step=step + 1)
