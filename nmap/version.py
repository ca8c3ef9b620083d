"""The version of the package; the file format has its own."""

__version__ = "0.1.0"
