"""How far work is: a bar on a terminal, elsewhere a line a minute; on stderr alone."""

from time import monotonic
from typing import Self

from .console import printable, say

__all__ = ["Progress"]

_LINES_EVERY, _NOTES_EVERY = 60.0, 0.5  # seconds
_MOST_SHOWN = 40  # characters of a note beside a bar


class Progress:
    """Show how many of ``total`` units, images say, are done, and a note; a context manager.

    Unless ``shown`` there is nothing. ``lines`` are for work that prints nothing else while it goes on. ``done`` units
    were done before. ``leave`` keeps the bar at the end.
    """

    def __init__(
        self,
        doing: str,
        total: int | None = None,
        unit: str = "image",
        *,
        shown: bool = True,
        lines: bool = True,
        done: int = 0,
        leave: bool = True,
    ) -> None:
        from tqdm import tqdm

        self._doing, self._unit, self._total, self._done = printable(doing), unit, total, done
        disable = None if shown else True  # None: without a terminal
        self._bar = tqdm(total=total, desc=self._doing, unit=unit, initial=done, leave=leave, disable=disable)
        self.is_bar = not self._bar.disable
        self._has_lines = shown and lines and not self.is_bar
        self._note, self._told = "", monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    @property
    def is_due(self) -> bool:
        """Whether a note would be seen: for those that cost something."""
        every = _NOTES_EVERY if self.is_bar else _LINES_EVERY if self._has_lines else float("inf")
        return monotonic() - self._told >= every

    def now(self, doing: str) -> None:
        """Say what is being done from now on, such as encoding."""
        self._doing = printable(doing)
        self._bar.set_description(self._doing)

    def note(self, text: str) -> None:
        """Say what is being worked on, or how it goes: the end of a long text, beside the bar."""
        self._note = printable(text)
        if self.is_bar:
            shown = self._note if len(self._note) <= _MOST_SHOWN else f"...{self._note[3 - _MOST_SHOWN :]}"
            self._bar.set_postfix_str(shown)
            self._told = monotonic()

    def advance(self) -> None:
        """Count one more unit as done."""
        self._done += 1
        self._bar.update()
        if self._has_lines and self.is_due:
            self._told = monotonic()
            of = "" if self._total is None else f" of {self._total}"
            say(f"{self._doing}: {self._unit} {self._done}{of}" + f", {self._note}" * bool(self._note))
