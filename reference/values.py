"""The page of the chart's values: what the schema says of each, and its default."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.tables import table
from reference.markdown import MADE_BY, cell

CHART = Path(__file__).parents[1] / "helm/vitrine"
_SHARED = 5
"""A key that so many components have is described once."""

Node = Mapping[str, Any]


def page() -> list[str]:
    """Return the page's lines."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    top = {name: _resolved(node, schema) for name, node in schema["properties"].items()}
    sections = {name: node for name, node in top.items() if _inside(node, schema)}
    components = [node["properties"] for node in sections.values() if "nodeSelector" in node["properties"]]
    names = [name for component in components for name in component]
    shared = {name for name in names if names.count(name) >= _SHARED and name not in {"enabled", "settings"}}
    common = {name: node for component in components for name, node in component.items() if name in shared}
    single = {name: node for name, node in top.items() if name not in sections}
    lines = [
        "# Values of the chart",
        "",
        MADE_BY,
        "",
        "What `helm install search helm/vitrine --values FILE` takes. An unknown key is refused, and so is what is not of the form, or does",
        "not go together with another value (`helm/vitrine/templates/_checks.tpl`). [The chart](../../helm/vitrine/README.md) says what it",
        "is for; `settings` of each service are in [Settings](settings.md), by their names in small letters without the prefix.",
        "",
        *_table(_rows(single, defaults, schema)),
        "",
        "## Of every component",
        "",
        "`gateway`, `rewriter`, `speech`, `triton`, `index` and `milvus`, as far as it makes sense there: `gateway.podLabels`. What is not",
        "empty by default is in the component's own table too.",
        "",
        *_table(_rows(common, {}, schema)),
    ]
    for name, node in sections.items():
        rows = _rows({name: node}, defaults, schema)
        own = [row for row in rows if row.path[1] not in shared or row.default not in _EMPTY]
        lines += ["", f"## {name}", "", node["description"], "", *_table(own)]
    return lines


class _Row:
    """One value: where it stands, what it takes, its default, and what it is."""

    def __init__(self, path: Sequence[str], node: Node, default: Any) -> None:
        self.path = path
        self.default = "" if default is None else json.dumps(default, ensure_ascii=False)
        self._node = node

    def cells(self) -> list[str]:
        """Return the row of a table."""
        default = "" if self.default in _EMPTY else f"`{self.default}`"
        return [f"`{'.'.join(self.path)}`", _form(self._node), default, cell(self._node["description"])]


_WORDS = {"string": "text", "boolean": "`true`, `false`", "array": "list"}
_EMPTY = {"", '""', "{}", "[]", "null"}


def _table(rows: Sequence[_Row]) -> list[str]:
    return table(["value", "what it takes", "default", "what it is"], [row.cells() for row in rows])


def _rows(nodes: Mapping[str, Node], defaults: Any, schema: Node) -> list[_Row]:
    return [row for name, node in nodes.items() for row in _leaves((name,), node, defaults, schema)]


def _leaves(path: tuple[str, ...], node: Node, defaults: Any, schema: Node) -> Iterator[_Row]:
    node = _resolved(node, schema)
    default = defaults.get(path[-1]) if isinstance(defaults, Mapping) else None
    children = _inside(node, schema)
    if not children or path[-1] == "settings":
        yield _Row(path, node, default)
    for name, child in children.items() if path[-1] != "settings" else ():
        yield from _leaves((*path, name), child, default, schema)


def _inside(node: Node, schema: Node) -> Mapping[str, Node]:
    """Return what is described inside an object; nothing of one whose parts are Kubernetes' own."""
    children = {name: _resolved(child, schema) for name, child in node.get("properties", {}).items()}
    return children if all("description" in child for child in children.values()) else {}


def _resolved(node: Node, schema: Node) -> Node:
    if "$ref" not in node:
        return node
    return {**schema["$defs"][node["$ref"].rpartition("/")[2]], **node}


def _form(node: Node) -> str:
    if "enum" in node:
        return ", ".join(f"`{json.dumps(each).strip(chr(34))}`" for each in node["enum"] if each != "")
    kinds = [node["type"]] if "type" in node else [each["type"] for each in node.get("anyOf", ())]
    words = " or ".join(_WORDS.get(kind, kind) for kind in kinds)
    if "minimum" in node and "maximum" in node:
        return f"{words} {node['minimum']} to {node['maximum']}"
    return f"{words} from {node['minimum']}" if "minimum" in node else words
