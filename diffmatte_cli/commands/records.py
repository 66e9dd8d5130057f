"""Records of settings as parameters of commands, one option per field; and which options were given."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any

import typer

from ..console import warn
from ..model.config import ModelConfig
from ..settings import without_effect
from . import options

__all__ = ["given_in", "taking_records", "warn_without_effect"]


def given_in(context: typer.Context) -> set[str]:
    """Return the names of the parameters that stand on the command line; environment variables do not count."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def warn_without_effect(context: typer.Context, config: ModelConfig | None) -> None:
    """Tell which options were given to a model that does not iterate and has no use for them."""
    if config is not None and not config.iterates and (text := without_effect(given_in(context))):
        warn(text)


def taking_records(command: Callable[..., None]) -> Callable[..., None]:
    """Expand a command's parameters that are records into one option per field, with the field's default.

    The option of a field ``input_scale`` is ``options.InputScaleOption``.
    """
    parameters = signature(command).parameters
    kinds: dict[str, Any] = {name: p.annotation for name, p in parameters.items() if is_dataclass(p.annotation)}

    @wraps(command)
    def called(**given: Any) -> None:
        records = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)}) for name, kind in kinds.items()
        }
        command(**given, **records)

    expanded = []
    for name, parameter in parameters.items():
        expanded += _options(kinds[name]) if name in kinds else [parameter.replace(kind=Parameter.KEYWORD_ONLY)]
    called.__signature__ = Signature(expanded)  # type: ignore[attr-defined]
    return called


def _options(kind: Any) -> list[Parameter]:
    return [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=getattr(options, field.name.title().replace("_", "") + "Option"),
        )
        for field in fields(kind)
    ]
