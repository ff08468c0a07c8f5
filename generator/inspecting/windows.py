"""How Windows looks for a DLL: a third resolver beside those of glibc and dyld.

Sources: Microsoft, "Dynamic-link library search order"; CPython's importdl.c, which loads extension
modules with LOAD_LIBRARY_SEARCH_DEFAULT_DIRS | LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR; torch/__init__.py,
which calls os.add_dll_directory for Library/bin and torch/lib before it loads anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from generator.inspecting.binary import Load
from generator.inspecting.findings import linkage_policy
from generator.inspecting.loading import Loader, Opening
from generator.inspecting.prefix import Prefix


class WindowsLoader(Loader):
    """Finds imported DLLs by their file names.

    An extension module is searched for in its own folder and in the added ones, all of them data
    (``dll_folders``); a program in its own folder and on the PATH of an activated environment.
    """

    def __init__(self, prefix: Prefix, opened: Iterable[Opening]) -> None:
        super().__init__(prefix, opened)
        self._folders = linkage_policy().dll_folders

    def missing_at_start(self, program: Opening) -> Iterator[tuple[Opening, Load]]:
        """Walk all that a program loads and yield what it misses.

        What its libraries need is looked for in the program's folder, not in theirs. The program's
        own needs are `find`'s to judge.
        """
        todo, loaded = [program], set[str]()
        while todo:
            opening = todo.pop(0)
            for load in opening.binary.needs:
                name = self._prefix.table.fold(load.name)
                if name in loaded:
                    continue
                loaded.add(name)  # or missed, which is said once
                owner = self.find(program, load)
                if owner is None and opening is not program and not load.weak:
                    yield opening, load
                if owner is not None and owner.binary is not None:
                    todo.append(Opening(path=owner.path, binary=owner.binary))

    def _paths(self, opening: Opening, name: str) -> Iterator[str]:
        for folder in (opening.folder, *self._folders):
            yield f"{folder}/{name}" if folder else name
