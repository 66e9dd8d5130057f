"""Run planned jobs: stages, engines, pipeline and report."""
