"""Configuration: documents from YAML and Python, one wire for the engine, positioned mistakes."""

from .diagnostics import Diagnostic, Position
from .load import LoadedConfig, load
from .options import RunOptions

__all__ = ["Diagnostic", "LoadedConfig", "Position", "RunOptions", "load"]
