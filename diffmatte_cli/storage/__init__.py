"""Storage: paths and URLs, standard streams, tables, atomic replacement of files."""
