"""The gateway: accepts audio, keeps it, finds the speech in it, and relays its words."""

import parley  # noqa: F401 — before ONNX Runtime, for what it sets
