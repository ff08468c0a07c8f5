"""Fresh environments, native or emulated runs, and the tests a package carries."""

from generator.testing.environment import Environment, Machine, Priority, create, solve
from generator.testing.packages import PackageReport, run_package_tests
from generator.testing.probing import ChannelSolver, lacking
from generator.testing.record_channel import NamedRecord, write_record_channel
from generator.testing.runner import Runner, choose_runner, sysroot_glibc
