"""One command a file; each imports what is heavy only when it runs."""
