"""Parley's shared kernel: domain types, wire protocol, settings, storage, client and the `parley` command.

The kernel imports no service; every service imports the kernel.
"""

import os
from importlib.metadata import PackageNotFoundError, version

# ONNX Runtime from 1.29 on tells its maker what it runs, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

try:
    __version__ = version("parley")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0.0.0"
