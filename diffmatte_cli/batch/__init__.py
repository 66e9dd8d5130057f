"""Planned jobs carried out: the stages, engines and pipeline of a run, and its report."""
