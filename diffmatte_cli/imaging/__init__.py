"""Images as files: formats, reading and writing, colour, orientation, metadata, and receipts of results."""
