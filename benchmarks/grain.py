"""How the code is cut: root files, files by length, functions by length, one-liners, helpers with one caller.

python benchmarks/grain.py [FOLDER ...]        # jukebox_pl and datamodules by default
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    """All with a body of their own: neither protocol methods (`...`) nor overloads."""
    for node in ast.walk(tree):
        if isinstance(node, Function) and body_lines(node) > 0:
            yield node


def body_lines(function: Function) -> int:
    """Lines of code in a body; docstring, comments and blank lines do not count, a statement over several lines does."""
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    if not body:
        return 0
    return sum(1 for node in body for _ in range(node.lineno, (node.end_lineno or node.lineno) + 1))


def has_one_caller(function: Function, source: str) -> bool:
    """Whether its name stands once more in its file, and nowhere else would need it: a private helper of one function."""
    return len(re.findall(rf"\b{re.escape(function.name)}\b", source)) == 2


def main(folders: list[Path]) -> None:
    files = [file for folder in folders for file in sorted(folder.rglob("*.py")) if file.read_text().strip()]
    sources = {file: file.read_text() for file in files}
    everywhere = Counter(word for source in sources.values() for word in re.findall(r"\w+", source))
    found = [(function, source) for source in sources.values() for function in functions(ast.parse(source))]
    lengths = [body_lines(function) for function, _ in found]
    lonely = sum(has_one_caller(function, source) and everywhere[function.name] == 2 for function, source in found)
    sizes = [len(source.splitlines()) for file, source in sources.items() if file.name != "__init__.py"]
    lines = sum(map(len, map(str.splitlines, sources.values())))
    comments = sum(line.lstrip().startswith("#") or "  # " in line for s in sources.values() for line in s.splitlines())
    print(f"files at the root of {folders[0]}: {len(list(folders[0].glob('*.py')))}")
    print(f"files: {len(sizes)}, {lines} lines, median {statistics.median(sizes):.0f}, largest {max(sizes)}")
    print(f"files under 80 lines: {sum(size < 80 for size in sizes)}, over 350: {sum(size > 350 for size in sizes)}")
    print(f"functions: {len(lengths)}, median body {statistics.median(lengths):.0f} lines, longest {max(lengths)}")
    print(f"bodies of one line: {lengths.count(1)} ({lengths.count(1) / len(lengths):.0%})")
    print(f"helpers with one caller, in their own file: {lonely}")
    print(f"lines with a comment: {100 * comments / lines:.1f} in 100")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or [Path("jukebox_pl"), Path("datamodules")])
