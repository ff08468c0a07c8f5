from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CppExtension

setup(
    name="armtorch_extension",
    version="1.0",
    ext_modules=[CppExtension("armtorch_extension", ["op.cpp"])],
    cmdclass={"build_ext": BuildExtension.with_options(use_ninja=False)},
)
