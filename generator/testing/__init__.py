"""Fresh environments, native or emulated runs, and the tests a package carries."""

from generator.testing.environment import Environment, Machine, create, solve
from generator.testing.packages import PackageReport, StepReport, run_package_tests
from generator.testing.runner import Runner, choose_runner, sysroot_glibc

__all__ = [
    "Environment",
    "Machine",
    "PackageReport",
    "Runner",
    "StepReport",
    "choose_runner",
    "create",
    "run_package_tests",
    "solve",
    "sysroot_glibc",
]
