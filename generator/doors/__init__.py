"""Where a person is when it fails: `conda armtorch ...` and `pixi armtorch ...`."""
