"""Help in plain groups: the most used options first, then one group per topic."""

from typing import Any

from typer.core import TyperCommand

__all__ = ["BATCHES", "COLOUR", "FIRST", "INPUTS", "MACHINE", "MODEL", "RESULTS", "SAMPLING", "GroupedCommand"]

# Groups in the order of help; an option names its group as ``rich_help_panel``. Rich's panels take twice the time.
GROUPS = FIRST, INPUTS, MODEL, SAMPLING, RESULTS, COLOUR, BATCHES, MACHINE, OTHER = (
    "Options used most",
    "Inputs",
    "Model",
    "Sampling",
    "Results",
    "Colour",
    "Batches",
    "Machine",
    "Other options",
)
# Commands with fewer options are not grouped.
MANY = 20


class GroupedCommand(TyperCommand):
    """A command whose help shows many options in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then options, one section per group that has any."""
        parameters = self.get_params(ctx)
        if len(parameters) < MANY:
            super().format_options(ctx, formatter)
            return
        sections: dict[str, list[tuple[str, str]]] = {name: [] for name in ("Arguments", *GROUPS)}
        for parameter in parameters:
            is_argument = parameter.param_type_name == "argument"
            name = "Arguments" if is_argument else getattr(parameter, "rich_help_panel", None) or OTHER
            if record := parameter.get_help_record(ctx):
                sections[name].append(record)
        for name, rows in sections.items():
            if rows:
                with formatter.section(name):
                    formatter.write_dl(rows)
