from generator.upstream.equivalence import *
