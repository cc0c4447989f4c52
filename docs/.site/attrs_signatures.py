"""Give attrs classes their signatures in the reference, defaults included.

They are read from the source, as all of the reference is: griffe knows dataclasses, and
not attrs.
"""

import ast

from griffe import (
    Attribute,
    Class,
    Expr,
    ExprCall,
    Extension,
    Function,
    ObjectNode,
    Parameter,
    ParameterKind,
    Parameters,
)

_MAKERS = {"attrs.define", "attrs.frozen"}

Found = tuple[str, dict[str, str | Expr]]


class AttrsSignatures(Extension):
    """Puts an `__init__` on each attrs class, made of its fields."""

    def on_class_members(
        self, *, node: ast.AST | ObjectNode, cls: Class, **_: object
    ) -> None:
        """Look at a class that was read, with all that is in it."""
        del node
        for decorator in cls.decorators:
            path, words = _called(decorator.value)
            if path in _MAKERS and "__init__" not in cls.members:
                all_by_name = str(words.get("kw_only")) == "True"
                _add_init(cls, all_by_name=all_by_name)


def _add_init(cls: Class, *, all_by_name: bool) -> None:
    by_place = [Parameter("self", kind=ParameterKind.positional_or_keyword)]
    by_name: list[Parameter] = []
    for attribute in cls.attributes.values():
        path, words = _called(attribute.value) if attribute.value else ("", {})
        is_field = path in {"attrs.field", "field"}
        if "class-attribute" in attribute.labels and attribute.annotation is None:
            continue
        if str(words.get("init")) == "False" or "property" in attribute.labels:
            continue
        default = _default(words) if is_field else attribute.value
        is_by_name = all_by_name or str(words.get("kw_only")) == "True"
        kind = (
            ParameterKind.keyword_only
            if is_by_name
            else ParameterKind.positional_or_keyword
        )
        (by_name if is_by_name else by_place).append(
            _parameter(attribute, kind, default)
        )
    init = Function("__init__", parameters=Parameters(*by_place, *by_name), parent=cls)
    cls.set_member("__init__", init)


def _parameter(
    attribute: Attribute, kind: ParameterKind, default: str | Expr | None
) -> Parameter:
    return Parameter(
        attribute.name.lstrip("_"),
        annotation=attribute.annotation,
        kind=kind,
        default=default,
    )


def _default(words: dict[str, str | Expr]) -> str | Expr | None:
    if "factory" in words:
        made = str(words["factory"]).partition("[")[0]
        empty = {"dict": "{}", "list": "[]"}
        return empty.get(made, "..." if "lambda" in made else f"{made}()")
    return words.get("default")


def _called(value: str | Expr) -> Found:
    """Give what is called, by its full path, and its keyword arguments."""
    if not isinstance(value, ExprCall):
        return (value.canonical_path if isinstance(value, Expr) else str(value)), {}
    words = {
        argument.name: argument.value
        for argument in value.arguments
        if hasattr(argument, "name") and hasattr(argument, "value")
    }
    return value.function.canonical_path, words
