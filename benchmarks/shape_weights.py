"""Constructed weights in the shapes of Whisper's sizes: seeded noise that costs what the real weights cost, and on top
of it just enough structure to write one fixed transcript, whatever is heard.

- **What comes next.** The last decoder layer's feed-forward block holds one unit for each token of the sentence. It
  fires on that token's embedding and writes the embedding of its successor. So the transcript depends on the last token
  alone: it is the same after a prompt of any length, and ends by itself.
- **A beam's rivals.** Each token has a few twins with a similar embedding, less likely by about e⁴. They fill the other
  places of a beam and are followed by the same successor, so that all beams end together, as real ones about do.
- **Words' times.** The alignment heads (the real model's) look, for the n-th token, at the n-th third of a second of
  the window, by the encoder's position code: three tokens a second, a usual rate of speech.
- **How much is written.** One of these heads also passes on the code of the place that it found. Where the window ends
  before the place it sought, the codes differ, the token's unit is silent, and the text ends. So a short window gets
  as many tokens as speech of its length has: 7 in 2 s, and never more than the 20 of the sentence.
- **No speech, language.** After the start the language is English with near certainty, so `<|nospeech|>` is unlikely.

Everything else is Gaussian noise, small enough to leave the above alone: no zeros, no denormals, nothing to skip.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ctranslate2.specs import WhisperSpec

from benchmarks.shape_tokenizer import Vocabulary, successors

Floats = npt.NDArray[np.float32]

AUDIO_POSITIONS = 1_500
"""Encoder positions of 30 s, one each 20 ms."""
TEXT_POSITIONS = 448
TOKENS_PER_S = 3.0
_POSITIONS_PER_S = 50.0
_HEAD = 64
"""Dimensions of an attention head, in every size."""
_WAVES = np.geomspace(1 / 4, 1 / AUDIO_POSITIONS, _HEAD // 2)
"""Radians a position of the waves by which places are found."""
_TELL_APART = np.tile((_WAVES <= 1 / 6) & (_WAVES >= 1 / 50), 2).astype(np.float32)
"""1 for the waves (sines, then cosines) that are alike within a word and unlike two words on, 0 for the others."""
_EMBEDDING_STD = 0.25
"""Large enough that the layers' noise is small beside it, in every size."""
_LOGIT = 32.0
"""Logit of the token that comes next, about; the last norm scales it."""
_TWINS = 4
_TWIN_LIKENESS = 0.87
"""Cosine of a twin's embedding and the token's."""
_SUCCESSOR, _END = 8.0, 2.0
"""How much of the successor's embedding a unit adds to the token's own, and how much of the end token's is always
added: what has no successor ends the text."""
_GAIN = 14.0
_PLACE = 2.0
"""A unit's input is `_GAIN` × (likeness of the token + `_PLACE` × likeness of the place found to the place sought). The
likeness of the place is above 0.7 where it is inside the window and below 0.4 where it is not."""
_THRESHOLD = 2.1
"""What is taken off the sum of the likenesses: more than a token without its place has, less than a twin with it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One of Whisper's sizes. Source: the `config.json` and `generation_config.json` of openai/whisper-… ."""

    encoder_layers: int
    decoder_layers: int
    heads: int
    mels: int
    vocabulary: int
    alignment_heads: tuple[tuple[int, int], ...]
    """Decoder layer and head, of those that follow the words."""

    @property
    def width(self) -> int:
        return self.heads * _HEAD


class Noise:
    """Seeded Gaussian float32 arrays."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def __call__(self, *shape: int, std: float) -> Floats:
        return self._random.standard_normal(shape, np.float32) * np.float32(std)

    def linear(self, spec: Any, outputs: int, inputs: int, gain: float) -> None:
        """A layer whose outputs have about `gain` times the standard deviation of its inputs."""
        spec.weight = self(outputs, inputs, std=gain / inputs**0.5)
        spec.bias = self(outputs, std=0.01)

    def norm(self, spec: Any, width: int) -> None:
        spec.gamma = 1 + self(width, std=0.001)
        spec.beta = self(width, std=0.001)


def fill(spec: WhisperSpec, shape: Shape, vocabulary: Vocabulary, seed: int) -> None:
    """Sets every weight of `spec`."""
    noise = Noise(seed)
    _fill_encoder(spec.encoder, shape, noise)
    embeddings = _embeddings(shape, vocabulary, noise)
    _fill_decoder(spec.decoder, shape, embeddings, noise)
    _look_along(spec.decoder.layer, shape, embeddings, vocabulary)
    carrier = _carry_place(spec.decoder.layer, shape, embeddings, noise)
    _write_sentence(spec.decoder.layer[-1].ffn, embeddings, vocabulary, carrier)


def sinusoids(positions: int, width: int) -> Floats:
    """Whisper's encoder position code, shape (positions, width): sines, then cosines.

    Source: https://github.com/openai/whisper/blob/main/whisper/model.py.
    """
    angles = np.arange(positions)[:, None] * _frequencies(width)[None]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _frequencies(width: int) -> npt.NDArray[np.float64]:
    """Radians a position, falling from 1 to 1/10,000."""
    frequencies: npt.NDArray[np.float64] = np.exp(-np.log(10_000) / (width // 2 - 1) * np.arange(width // 2))
    return frequencies


def _fill_encoder(encoder: Any, shape: Shape, noise: Noise) -> None:
    width = shape.width
    encoder.conv1.weight = noise(width, shape.mels, 3, std=0.5 / (3 * shape.mels) ** 0.5)
    encoder.conv2.weight = noise(width, width, 3, std=0.3 / (3 * width) ** 0.5)
    encoder.conv1.bias, encoder.conv2.bias = noise(width, std=0.01), noise(width, std=0.01)
    encoder.position_encodings.encodings = sinusoids(AUDIO_POSITIONS, width)
    noise.norm(encoder.layer_norm, width)
    for layer in encoder.layer:
        _fill_self_attention(layer.self_attention, width, noise)
        _fill_feed_forward(layer.ffn, width, noise)


def _fill_decoder(decoder: Any, shape: Shape, embeddings: Floats, noise: Noise) -> None:
    width = shape.width
    decoder.embeddings.weight = decoder.projection.weight = embeddings
    decoder.position_encodings.encodings = noise(TEXT_POSITIONS, width, std=0.1 * _EMBEDDING_STD)
    noise.norm(decoder.layer_norm, width)
    decoder.layer_norm.gamma *= _LOGIT / (_EMBEDDING_STD * width)
    for layer in decoder.layer:
        _fill_self_attention(layer.self_attention, width, noise)
        noise.norm(layer.attention.layer_norm, width)
        noise.linear(layer.attention.linear[0], width, width, gain=1)
        noise.linear(layer.attention.linear[1], 2 * width, width, gain=1)
        noise.linear(layer.attention.linear[2], width, width, gain=0.01)
        _fill_feed_forward(layer.ffn, width, noise)


def _fill_self_attention(attention: Any, width: int, noise: Noise) -> None:
    noise.norm(attention.layer_norm, width)
    noise.linear(attention.linear[0], 3 * width, width, gain=1)
    noise.linear(attention.linear[1], width, width, gain=0.01)


def _fill_feed_forward(ffn: Any, width: int, noise: Noise) -> None:
    noise.norm(ffn.layer_norm, width)
    noise.linear(ffn.linear_0, 4 * width, width, gain=1)
    noise.linear(ffn.linear_1, width, 4 * width, gain=0.01)


def _embeddings(shape: Shape, vocabulary: Vocabulary, noise: Noise) -> Floats:
    """Shape (vocabulary, width): noise, and beside each token of the sentence its twins."""
    embeddings = noise(shape.vocabulary, shape.width, std=_EMBEDDING_STD)
    twins = iter(vocabulary.fillers)
    for token in vocabulary.sentence:
        for _ in range(_TWINS):
            other = noise(shape.width, std=_EMBEDDING_STD * (1 - _TWIN_LIKENESS**2) ** 0.5)
            embeddings[next(twins)] = _TWIN_LIKENESS * embeddings[token] + other
    return embeddings


def _look_along(layers: Any, shape: Shape, embeddings: Floats, vocabulary: Vocabulary) -> None:
    """In each alignment head the query of a token is the position code of the audio it stands for, the key of a
    position its own code. The product of two codes is largest where they are the same."""
    code, dims = _place_codes(shape.width)
    sharpness = _HEAD**0.5 * float(sinusoids(AUDIO_POSITIONS, shape.width).std(axis=1).mean())
    for layer, head in shape.alignment_heads:
        rows = slice(head * _HEAD, (head + 1) * _HEAD)
        queries, keys = layers[layer].attention.linear[:2]
        queries.weight[rows] *= 0.01
        keys.weight[rows] *= 0.01
        keys.weight[rows.start + np.arange(_HEAD), dims] += 1
        for token, position in _places(vocabulary).items():
            pattern = sharpness / shape.width**0.5 * np.outer(code[position], _direction(embeddings[token]))
            queries.weight[rows] += pattern


def _carry_place(layers: Any, shape: Shape, embeddings: Floats, noise: Noise) -> Floats:
    """Lets the last alignment head write the code of the place that it found, about as long as an embedding.

    Returns the directions that it is written in: shape (width, 64), 0 for the waves that are too coarse or too fine.
    """
    code, dims = _place_codes(shape.width)
    layer, head = shape.alignment_heads[-1]
    _, values, output = layers[layer].attention.linear
    columns = slice(head * _HEAD, (head + 1) * _HEAD)
    rows = shape.width + columns.start + np.arange(_HEAD)
    values.weight[rows] *= 0.01
    values.weight[rows, dims] += 1
    basis, _ = np.linalg.qr(noise(shape.width, _HEAD, std=1))
    carrier: Floats = basis * _TELL_APART
    spread = float(sinusoids(AUDIO_POSITIONS, shape.width).std(axis=1).mean())
    length = float(np.linalg.norm(code * _TELL_APART, axis=1).mean()) / spread
    output.weight[:, columns] += carrier * (float(np.linalg.norm(embeddings[0])) / length)
    return carrier


def _write_sentence(ffn: Any, embeddings: Floats, vocabulary: Vocabulary, carrier: Floats) -> None:
    """One unit for each token that has a successor. Those of the sentence also ask for their place in the window."""
    width = embeddings.shape[1]
    code, _ = _place_codes(width)
    places = {token: place for token, place in _places(vocabulary).items() if token in vocabulary.sentence}
    gain = _GAIN / width**0.5
    for unit, (token, successor) in enumerate(successors(vocabulary).items()):
        wanted = _direction(embeddings[token])
        threshold = 0.5
        if token in places:
            wanted = wanted + _PLACE * _direction(carrier @ code[places[token]])
            threshold = _THRESHOLD
        ffn.linear_0.weight[unit] = gain * wanted
        ffn.linear_0.bias[unit] = -_GAIN * threshold * 0.5**0.5
        ffn.linear_1.weight[:, unit] = _SUCCESSOR / (_GAIN / 2) * embeddings[successor]
    ffn.linear_1.bias += _END * embeddings[vocabulary["<|endoftext|>"]]


def _places(vocabulary: Vocabulary) -> Mapping[int, int]:
    """The encoder position at which each token looks for the one after it."""
    order = (vocabulary["<|notimestamps|>"], *vocabulary.sentence)
    places = {token: round(index * _POSITIONS_PER_S / TOKENS_PER_S) for index, token in enumerate(order)}
    return places | {vocabulary["<|0.00|>"]: 0}


def _place_codes(width: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """A part of the position code that fits one head: shape (positions, 64), and which dimensions they are.

    32 frequencies, from a wave of 25 positions to one longer than the window: as fine as a word, unlike far away.
    """
    nearest = np.abs(np.log(_frequencies(width))[None] - np.log(_WAVES)[:, None]).argmin(axis=1)
    dims = np.concatenate([nearest, nearest + width // 2])
    return sinusoids(AUDIO_POSITIONS, width)[:, dims], dims


def _direction(vector: Floats) -> Floats:
    unit: Floats = vector / np.linalg.norm(vector)
    return unit
