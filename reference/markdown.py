"""What the pages share: cells, sentences, the docstrings of attributes."""

import ast
import inspect
from itertools import pairwise

MADE_BY = "<!-- Made by `python -m reference`; edit what it is made from. -->"


def cell(text: str) -> str:
    """Return a text as a cell of a table: one line, with nothing in it that ends the cell or begins a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def attribute_texts(kind: type) -> dict[str, str]:
    """Return the text that stands below each attribute of a class, by the attribute's name."""
    (definition,) = ast.parse(inspect.getsource(kind).lstrip()).body
    if not isinstance(definition, ast.ClassDef):
        raise TypeError(f"{kind.__name__} is no class")
    return {
        _name(attribute): text.value.value
        for attribute, text in pairwise(definition.body)
        if isinstance(attribute, ast.AnnAssign | ast.Assign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _name(attribute: ast.AnnAssign | ast.Assign) -> str:
    target = attribute.target if isinstance(attribute, ast.AnnAssign) else attribute.targets[0]
    return ast.unparse(target)
