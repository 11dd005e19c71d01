"""YAML as people expect it: words stay words, a key stands once, and a fault is one line with its place."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

_DEPTH = 50
_C: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is not in every build of PyYAML


class _Loader(_C):  # type: ignore[misc]
    """The core schema of YAML 1.2: ``on``, ``no`` and 2026-01-01 are strings, 12:30 is no number."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for number, key in enumerate(keys):
            if any(key.value == other.value and key.tag == other.tag for other in keys[:number]):
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
        return dict(super().construct_mapping(node, deep=deep))


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", [*"-+0123456789"]),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
    ("float", r"[-+]?\.inf|\.nan", [*"-+."]),
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)


def parse(text: str) -> Any:
    """The value of a document.

    Raises:
        ValueError: says what is wrong, and where: ``line 3, column 5: …``.
    """
    try:
        _check_depth(text)
        return yaml.load(text, Loader=_Loader)  # a safe loader: it builds plain values only
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except KeyError as error:
        raise ValueError(f"{error} does not fit its tag") from error


def _check_depth(text: str) -> None:
    # The C parser builds what is nested by calling itself, and takes the process with it when the stack ends.
    depth = 0
    for event in yaml.parse(text, Loader=_C):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:
            raise ValueError(f"nested over {_DEPTH} deep")
