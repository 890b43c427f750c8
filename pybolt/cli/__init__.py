"""The command line: ``bolt``."""

from .main import main

__all__ = ["main"]
