"""Where bytes come from and go to: paths and URLs, the streams of a pipe, files that are replaced all at once."""
