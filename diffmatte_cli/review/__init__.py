"""The page on which the results of a batch are looked through: what goes in, what is shown of it, the page itself."""

from .entries import Entry, Gathered, find_entries
from .page import Summary, check_target, write_page

__all__ = ["Entry", "Gathered", "Summary", "check_target", "find_entries", "write_page"]
