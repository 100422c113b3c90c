"""Parley's shared kernel: domain types, wire protocol, settings, storage, client and the `parley` command.

The kernel imports no service; every service imports the kernel.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("parley")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0.0.0"
