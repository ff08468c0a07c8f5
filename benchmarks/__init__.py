"""Figures that README and docs may name, each measured side by side in one run."""
