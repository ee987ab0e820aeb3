"""A function fits a screen, a file can be read in one sitting."""

from __future__ import annotations

import ast

from tests.tidy.sources import FOLDERS, ROOT, python_files, tree

FUNCTION_LINES = 50
FILE_LINES = 500


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without its docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_short() -> None:
    wrong = [
        f"{name}:{node.lineno} {node.name}: {_body_lines(node)} lines"
        for name in python_files(*FOLDERS, "tests")
        for node in ast.walk(tree(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _body_lines(node) > FUNCTION_LINES
    ]
    assert wrong == []


def test_files_are_short() -> None:
    sizes = {name: len((ROOT / name).read_text().splitlines()) for name in python_files(*FOLDERS, "tests")}
    assert {name: lines for name, lines in sizes.items() if lines > FILE_LINES} == {}
