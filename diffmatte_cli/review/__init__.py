"""The page to look through a batch's results: find them, read their images, write the page."""

from .entries import Entry, Gathered, find_entries
from .page import Summary, check_target, write_page

__all__ = ["Entry", "Gathered", "Summary", "check_target", "find_entries", "write_page"]
