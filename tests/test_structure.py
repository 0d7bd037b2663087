"""The house keeps its shape: few files at the root, no circle between files, functions that say something."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path

import grimp

PACKAGE = Path(__file__).parents[1] / "jukebox_pl"


def test_at_most_twelve_files_at_the_root():
    assert len(list(PACKAGE.glob("*.py"))) <= 12


def test_no_file_imports_itself_through_others_not_even_for_types():
    graph = grimp.build_graph("jukebox_pl", "datamodules", include_external_packages=False, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 100
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
