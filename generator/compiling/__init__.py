"""Wheels from source, where upstream serves none (decision D18): nothing is compiled in recipes.

Debian's cross compiler runs in a root that is unpacked from Debian's packages, in a mount namespace
of its own: the machine is not changed. What comes out are wheels in a folder, which an index of the
kind ``folder`` names; from there on they go the way of all wheels. Nothing else imports this room.
"""

from generator.compiling.driver import Options, Outcome, compile_source
from generator.compiling.planning import Plan, plan, select
