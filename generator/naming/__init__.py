"""PyPI names, SONAMEs and wheel tags in conda's terms; every fact stands in generator/data."""

from generator.naming.licensing import Licence, licence_of
from generator.naming.mangling import (
    DELOCATED,
    is_bundled_place,
    is_tools_work,
    plain_names,
    without_hash,
)
from generator.naming.projects import conda_name, python_builds
from generator.naming.requirements import (
    RunDependency,
    admits,
    conda_depends,
    dropped_requirements,
    torch_requirement,
    unique,
    unmapped,
)
from generator.naming.soname_table import (
    Bundled,
    Library,
    SonameTable,
    bundled,
    library_depends,
    needed_libraries,
    sonames,
)
from generator.naming.specifiers import conda_version_spec
from generator.naming.virtual_packages import floor, virtual_packages
