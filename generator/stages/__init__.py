"""Puts the rooms together: one module per stage, so that commands and CI call the same thing."""
