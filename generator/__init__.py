"""armtorch: a conda feedstock generator for PyTorch on ARM."""
