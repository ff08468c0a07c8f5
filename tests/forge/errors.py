"""The one error of the forge: something outside it is not as it must be."""


class ForgeError(Exception):
    """Says what failed, where, and what to do about it."""
