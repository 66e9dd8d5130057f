"""The band along a mask's edge that becomes the unknown region. Standard library only."""

from dataclasses import dataclass

from ..errors import UsageError

__all__ = ["Band"]

_USUAL_PERCENT = 1.0
_MOST_PIXELS = 2000


@dataclass(frozen=True)
class Band:
    """Hold the width of the unknown region inside the subject and outside it.

    ``erode`` and ``dilate`` are in pixels; where neither is given, both are ``percent`` of the image's longer side.
    Where none is given, the band is the usual one.
    """

    erode: int | None = None
    dilate: int | None = None
    percent: float | None = None

    def __post_init__(self) -> None:
        """Check the widths."""
        for name, pixels in (("erode", self.erode), ("dilate", self.dilate)):
            if pixels is not None and not 0 <= pixels <= _MOST_PIXELS:
                raise UsageError(f"the width to {name} must be from 0 to {_MOST_PIXELS} pixels, not {pixels}", name)
        if self.percent is not None and not 0 < self.percent <= 50:
            raise UsageError(f"the band must be above 0 and at most 50 percent, not {self.percent:g}", "band")
        if self.percent is not None and (self.erode is not None or self.dilate is not None):
            raise UsageError(
                "a band gives both sides their width: leave it out, or their own", "band", "erode", "dilate"
            )

    @property
    def is_usual(self) -> bool:
        """Whether no width was given."""
        return self == Band()

    @property
    def name(self) -> str:
        """The widths as they stand in receipts."""
        if self.is_usual:
            return f"{_USUAL_PERCENT:g} %, less in gaps"
        if self.percent is not None:
            return f"{self.percent:g} %"
        return f"{self.erode or 0} px inside, {self.dilate or 0} px outside"

    def pixels(self, height: int, width: int) -> tuple[int, int]:
        """Return the widths inside and outside, in pixels."""
        if self.erode is None and self.dilate is None:
            percent = _USUAL_PERCENT if self.percent is None else self.percent
            both = min(_MOST_PIXELS, max(1, round(percent / 100 * max(height, width))))
            return both, both
        return self.erode or 0, self.dilate or 0
