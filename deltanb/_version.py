"""The version: read by the build, written into checkpoints."""

__version__ = "0.1.0"
