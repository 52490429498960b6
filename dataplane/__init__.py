"""A software-defined data plane for Linux: cloud-like private networks from one file."""

__version__ = "0.6.0"
