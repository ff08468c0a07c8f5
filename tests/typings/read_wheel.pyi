from generator.inspecting.read_wheel import *
