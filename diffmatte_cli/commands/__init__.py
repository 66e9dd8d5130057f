"""One command per file; each imports heavy modules only when it runs."""
