"""Silero's voice activity detector for many sessions at once.

In the ONNX file of silero-vad's wheel, ONNX Runtime computes each frame's convolutions by themselves, four columns
wide, so a batch gains nothing: 54 µs a frame, whatever the batch. Here the same weights stand in a graph that lays
frames below each other, so that each layer is one product, and that takes any number of frames of each session: 15 µs
(ADR 9 has the conditions). A test holds its answers against those of the file itself.
Source of the network: https://github.com/snakers4/silero-vad (MIT), version 6.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from numpy.lib.stride_tricks import sliding_window_view
from onnx import numpy_helper

from parley.audio import Samples
from parley.errors import SetupError
from parley.segmenter import FRAME

CONTEXT = 64
"""Samples of the frame before that the network sees again."""
STATE = 128
"""Width of the recurrent layer."""
_FILE = "silero_vad_16k_op15.onnx"
_FULL_SCALE = 32768
_LSTM = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

Floats = npt.NDArray[np.float32]

_GRAPH = """
<ir_version: 9, opset_import: ["" : 18]>
silero (int16[n, 576] frames, int64[s, b] rows, int32[b] counts, float[1, b, 128] hidden, float[1, b, 128] cell)
    => (float[s, b, 1] probabilities, float[1, b, 128] next_hidden, float[1, b, 128] next_cell)
<
    int64[4] mirror = {0, 0, 0, 64},
    int64[3] halves = {-1, 5, 128}, int64[4, 2] whole = {0, 1, 1, 2, 2, 3, 3, 4}, int64[2] window = {-1, 256},
    int64[6] edges = {0, 1, 0, 0, 1, 0},
    int64[3] shape0 = {-1, 4, 129}, int64[4, 3] taps0 = {0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5},
    int64[2] flat0 = {-1, 387},
    int64[3] shape1 = {-1, 4, 128}, int64[2, 3] taps1 = {0, 1, 2, 2, 3, 4}, int64[2] flat1 = {-1, 384},
    int64[3] shape2 = {-1, 2, 64}, int64[1, 3] taps2 = {0, 1, 2}, int64[2] flat2 = {-1, 192},
    int64[3] shape3 = {-1, 1, 64}, int64[1, 3] taps3 = {0, 1, 2}, int64[2] flat3 = {-1, 192},
    int64[1] direction = {1}
>
{
    samples = Cast <to = 1> (frames)
    mirrored = Pad <mode = "reflect"> (samples, mirror)
    hops = Reshape (mirrored, halves)
    overlapping = Gather <axis = 1> (hops, whole)
    windows = Reshape (overlapping, window)
    spectrum = MatMul (windows, basis)
    squares = Mul (spectrum, spectrum)
    real, imaginary = Split <axis = 1, num_outputs = 2> (squares)
    power = Add (real, imaginary)
    layer0 = Sqrt (power)
CONVOLUTIONS
    sequences = Gather <axis = 0> (layer4, rows)
    every, next_hidden, next_cell = LSTM <hidden_size = 128> (sequences, enter, recur, gates, counts, hidden, cell)
    remembered = Squeeze (every, direction)
    positive = Relu (remembered)
    weighted = MatMul (positive, output)
    logit = Add (weighted, output_bias)
    probabilities = Sigmoid (logit)
}
"""
_CONVOLUTION = """
    columns{i} = Reshape (layer{i}, shape{i})
    padded{i} = Pad (columns{i}, edges)
    tapped{i} = Gather <axis = 1> (padded{i}, taps{i})
    flattened{i} = Reshape (tapped{i}, flat{i})
    product{i} = Gemm (flattened{i}, kernel{i}, bias{i})
    layer{j} = Relu (product{i})
"""


def model_path() -> Path:
    """The ONNX file in the silero-vad wheel, found without importing the package (which needs PyTorch)."""
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError("The package silero-vad is not installed; `make install` installs it.")
    return Path(spec.submodule_search_locations[0]) / "data" / _FILE


class SileroModel:
    """The network, and how to ask it."""

    def __init__(self, path: Path) -> None:
        """Raises SetupError for a file that holds another network."""
        weights = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
        try:
            graph = _graph(weights)
        except (KeyError, ValueError) as error:
            raise SetupError(f"{path} is not the network of silero-vad 6: {error}.") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def detect(self, pieces: Sequence[Samples], state: Floats) -> tuple[list[list[float]], Floats]:
        """The next frames of b sessions, at least one of each; they go on from `state`, (2, b, 128), zeros at first.

        A piece is n frames behind the 64 samples before them: int16, (64 + 512 n,). Returns n probabilities for each
        piece, and the next state.
        """
        question = Question.of(pieces, state)
        return question.read(self.answer(question))

    def answer(self, question: "Question") -> list[Floats]:
        """The part that takes its time; all of it without the interpreter's lock."""
        answer: list[Floats] = self._session.run(None, question.inputs)
        return answer


@dataclass(frozen=True, slots=True)
class Question:
    """What the network is asked in one call."""

    inputs: Mapping[str, npt.NDArray[Any]]
    counts: npt.NDArray[np.int_]

    @classmethod
    def of(cls, pieces: Sequence[Samples], state: Floats) -> "Question":
        """As `SileroModel.detect` takes them."""
        counts = np.array([len(piece) // FRAME for piece in pieces])
        firsts = np.cumsum(counts) - counts
        inputs = {
            "frames": _frames(pieces, counts),
            # Of each session the row of its n-th frame; beyond its last one, that again, which goes unheeded.
            "rows": firsts + np.minimum(np.arange(counts.max())[:, None], counts - 1),
            "counts": counts.astype(np.int32),
            "hidden": state[:1],
            "cell": state[1:],
        }
        return cls(inputs, counts)

    def read(self, answer: Sequence[Floats]) -> tuple[list[list[float]], Floats]:
        """As `SileroModel.detect` returns them."""
        probabilities, hidden, cell = answer
        found = [probabilities[:count, column, 0].tolist() for column, count in enumerate(self.counts)]
        return found, np.concatenate([hidden, cell])


def _frames(pieces: Sequence[Samples], counts: npt.NDArray[np.int_]) -> Samples:
    """All frames of all pieces below each other, each behind its context: (n, 64 + 512)."""
    lengths = CONTEXT + FRAME * counts
    starts = np.repeat(np.cumsum(lengths) - lengths, counts)
    within = np.concatenate([np.arange(count) for count in counts])
    found: Samples = sliding_window_view(np.concatenate(pieces), CONTEXT + FRAME)[starts + FRAME * within]
    return found


def _graph(weights: Mapping[str, npt.NDArray[np.float32]]) -> bytes:
    """The graph with the file's weights in it. Raises KeyError or ValueError for another network's."""
    lstm = {name: _onnx_order(weights[f"model.decoder.rnn.{name}"]) for name in _LSTM}
    constants = {
        "basis": weights["model.stft.forward_basis_buffer"].reshape(258, 256).T / _FULL_SCALE,
        "enter": lstm["weight_ih"][None],
        "recur": lstm["weight_hh"][None],
        "gates": np.concatenate([lstm["bias_ih"], lstm["bias_hh"]])[None],
        "output": weights["model.decoder.decoder.2.weight"].reshape(STATE, 1),
        "output_bias": weights["model.decoder.decoder.2.bias"],
    }
    for index in range(4):
        kernel = weights[f"model.encoder.{index}.reparam_conv.weight"]  # (out, in, 3)
        constants[f"kernel{index}"] = kernel.transpose(2, 1, 0).reshape(-1, len(kernel))
        constants[f"bias{index}"] = weights[f"model.encoder.{index}.reparam_conv.bias"]
    convolutions = "".join(_CONVOLUTION.format(i=index, j=index + 1) for index in range(4))
    model = onnx.parser.parse_model(_GRAPH.replace("CONVOLUTIONS", convolutions))
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
    return bytes(model.SerializeToString())


def _onnx_order(gates: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The four gates, PyTorch's input, forget, cell, output, in ONNX's order: input, output, forget, cell."""
    enter, forget, cell, leave = np.split(gates, 4)
    return np.concatenate([enter, leave, forget, cell])
