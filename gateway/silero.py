"""Silero's voice activity detector as matrix products over the frames of many sessions at once.

ONNX Runtime takes each frame's convolutions as a product of its own, four columns wide, so a batch gains it nothing:
54 µs a frame, whatever the batch. Laid out frame below frame, the same network takes 15 µs (ADR 8 has the conditions).
The weights are those of the ONNX file in silero-vad's wheel; a test holds the answers against ONNX Runtime's.
Source of the network: https://github.com/snakers4/silero-vad (MIT), version 6.
"""

import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx.numpy_helper import to_array

from parley.errors import SetupError

CONTEXT = 64
"""Samples of the frame before that the network sees again."""
STATE = 128
"""Width of the recurrent layer, and of the features that it takes."""
_WINDOW, _HOP = 256, 128
_HANN = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
"""The file's own basis for the spectrum is the discrete Fourier transform under this window, to 6e-8."""
_BLOCK = 128
"""Frames whose intermediate results stay in a core's cache together."""
_MODEL_FILE = "silero_vad_16k_op15.onnx"
_LSTM = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

Floats = npt.NDArray[np.float32]


def model_path() -> Path:
    """The ONNX file in the silero-vad wheel, found without importing the package (which needs PyTorch)."""
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError("The package silero-vad is not installed; `make install` installs it.")
    return Path(spec.submodule_search_locations[0]) / "data" / _MODEL_FILE


class SileroModel:
    """The network, in its two halves: what sees only one frame, and what remembers."""

    def __init__(self, path: Path) -> None:
        """Raises SetupError for a file that holds another network."""
        weights = {tensor.name: to_array(tensor) for tensor in onnx.load(path).graph.initializer}
        try:
            self._encoder = [
                _Convolution(
                    weights[f"model.encoder.{index}.reparam_conv.weight"],
                    weights[f"model.encoder.{index}.reparam_conv.bias"],
                    stride=stride,
                )
                for index, stride in enumerate((1, 2, 2, 1))
            ]
            lstm = {name: weights[f"model.decoder.rnn.{name}"] for name in _LSTM}
            self._output = weights["model.decoder.decoder.2.weight"].reshape(STATE)
            self._output_bias = weights["model.decoder.decoder.2.bias"]
        except (KeyError, ValueError) as error:
            raise SetupError(f"{path} is not the network of silero-vad 6: {error}.") from error
        self._gates = np.ascontiguousarray(np.concatenate([lstm["weight_ih"], lstm["weight_hh"]], axis=1).T)
        self._gates_bias = lstm["bias_ih"] + lstm["bias_hh"]

    def features(self, frames: Floats) -> Floats:
        """Frames with their context, shape (n, 64 + 512), in [-1, 1), of any sessions and times → (n, 128)."""
        blocks = [self._encode(frames[start : start + _BLOCK]) for start in range(0, len(frames), _BLOCK)]
        return np.concatenate(blocks)

    def recur(self, features: Floats, state: Floats) -> tuple[Floats, Floats]:
        """The next frame of b sessions: features (b, 128), state (2, b, 128) → probabilities (b,), the next state."""
        hidden, cell = state
        gates = np.concatenate([features, hidden], axis=1) @ self._gates
        gates += self._gates_bias
        enter, keep, candidate, leave = np.split(gates, 4, axis=1)
        cell = _sigmoid(keep) * cell + _sigmoid(enter) * np.tanh(candidate)
        hidden = _sigmoid(leave) * np.tanh(cell)
        return _sigmoid(np.maximum(hidden, 0) @ self._output + self._output_bias), np.stack([hidden, cell])

    def step(self, frames: Floats, state: Floats) -> tuple[Floats, Floats]:
        """Both halves: one frame (64 + 512) of each of b sessions → probabilities (b,), the next state."""
        return self.recur(self.features(frames), state)

    def _encode(self, frames: Floats) -> Floats:
        padded = np.pad(frames, ((0, 0), (0, CONTEXT)), mode="reflect")
        windows = sliding_window_view(padded, _WINDOW, axis=1)[:, ::_HOP]
        columns: Floats = np.abs(np.fft.rfft(windows * _HANN))
        for convolution in self._encoder:
            columns = convolution(columns)
        return columns[:, 0]


class _Convolution:
    """Three columns wide, padded by one at each side, and a rectifier."""

    def __init__(self, weight: Floats, bias: Floats, *, stride: int) -> None:
        """`weight` as in the file: (out, in, 3)."""
        self._matrix = np.ascontiguousarray(weight.transpose(2, 1, 0)).reshape(-1, len(weight))
        self._bias = bias
        self._stride = stride

    def __call__(self, columns: Floats) -> Floats:
        """(n, columns, in) → (n, columns / stride, out)."""
        count, length, width = columns.shape
        padded = np.zeros((count, length + 2, width), np.float32)
        padded[:, 1:-1] = columns
        windows = sliding_window_view(padded, (3, width), axis=(1, 2))[:, :: self._stride, 0]
        out = windows.reshape(-1, 3 * width) @ self._matrix
        out += self._bias
        np.maximum(out, 0, out=out)
        return out.reshape(count, -1, out.shape[1])


def _sigmoid(values: Floats) -> Floats:
    """The logistic function; by way of tanh, which does not overflow."""
    return np.asarray(0.5 * np.tanh(0.5 * values) + 0.5, np.float32)
