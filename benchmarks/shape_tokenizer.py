"""The vocabulary of the shape models: Whisper's size, Whisper's special tokens at Whisper's ids, one known sentence.

Ids 0 to 255 are the bytes in GPT-2's order, so that a space is 220 as in Whisper. Then come the pieces of the
sentence's words, which byte-pair encoding joins again. What is left up to `<|endoftext|>` is filler that no text
encodes to.
Source of the layout: https://github.com/openai/whisper/blob/main/whisper/tokenizer.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

PIECES = (
    *(" This", " voice", " was", " never", " heard", ",", " so", " only", " the", " speed"),
    *(" of", " its", " tran", "script", " can", " be", " meas", "ured", " here", "."),
)
"""The transcript, token by token. No token comes twice: each has one successor."""
SENTENCE = "".join(PIECES).strip()
_MORE = """
and then comes one word for each third second that remains until this whole window ends because people who talk without
any pause fill thirty seconds with some ninety tokens while short clips hold just few files where every decode hears
half minute must show what such long text costs too else they would look cheaper than real ones are or slow us down
"""
LONG_PIECES = (*PIECES[:-1], *(f" {word}" for word in _MORE.split()), PIECES[-1])
"""As much as fits a window of 30 s, for whoever decodes such windows."""

_LANGUAGES = """
en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs
ro da hu ta no th ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk
br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu
am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue
"""
"""In Whisper's order; Cantonese came with large-v3."""
_TEXT_TOKENS = 50_257
_TIMESTAMPS = 1_501
_SPACE = "Ġ"
"""How byte-level BPE writes a space."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Token ids, and `tokens`, the string of each id."""

    tokenizer: Tokenizer
    tokens: tuple[str, ...]
    sentence: tuple[int, ...]
    languages: tuple[int, ...]
    fillers: range
    """Ids of text tokens that nothing encodes to."""

    def __getitem__(self, token: str) -> int:
        return self.tokens.index(token)


def build_vocabulary(size: int, pieces: Sequence[str] = PIECES) -> Vocabulary:
    """Whisper's multilingual vocabulary of `size` tokens: 51,865 (99 languages) or 51,866 (100, with Cantonese).

    `pieces`: the transcript, in which no token comes twice.
    """
    languages = _LANGUAGES.split()[: size - 51_766]
    text, merges = _text_tokens(pieces)
    first_filler = len(text)
    text += [f"{_SPACE}filler{index}" for index in range(first_filler, _TEXT_TOKENS - 1)]
    text.append("")  # as in Whisper; CTranslate2 takes its presence for "multilingual"
    bpe = models.BPE(vocab={token: index for index, token in enumerate(text)}, merges=merges)
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [
        *("<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in languages)),
        *("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
        *(f"<|{index * 0.02:.2f}|>" for index in range(_TIMESTAMPS)),
    ]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    if len(text) + len(special) != size:
        raise ValueError(f"There is no Whisper vocabulary of {size} tokens.")
    return Vocabulary(
        tokenizer,
        (*text, *special),
        tuple(tokenizer.encode("".join(pieces), add_special_tokens=False).ids),
        tuple(range(_TEXT_TOKENS + 2, _TEXT_TOKENS + 2 + len(languages))),
        range(first_filler, _TEXT_TOKENS - 1),
    )


def _text_tokens(pieces: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The bytes and the pieces of the sentence, with the merges that join them."""
    tokens = _gpt2_bytes()
    merges: list[tuple[str, str]] = []
    known = set(tokens)
    for piece in pieces:
        written = piece.replace(" ", _SPACE)
        for length in range(2, len(written) + 1):
            if written[:length] not in known:
                merges.append((written[: length - 1], written[length - 1]))
                tokens.append(written[:length])
                known.add(written[:length])
    return tokens, merges


def _gpt2_bytes() -> list[str]:
    """The 256 bytes as byte-level BPE writes them, in GPT-2's order: those that print, then the others."""
    printing = [chr(code) for first, last in ("!~", "¡¬", "®ÿ") for code in range(ord(first), ord(last) + 1)]
    return printing + [chr(256 + index) for index in range(256 - len(printing))]


def successors(vocabulary: Vocabulary) -> dict[int, int]:
    """What follows each token: the language after the start, a time stamp after the task, then the sentence."""
    first, end = vocabulary.sentence[0], vocabulary["<|endoftext|>"]
    chain = dict(pairwise((*vocabulary.sentence, end)))
    begin = vocabulary["<|0.00|>"]
    return chain | {
        vocabulary["<|startoftranscript|>"]: vocabulary["<|en|>"],
        vocabulary["<|transcribe|>"]: begin,
        vocabulary["<|translate|>"]: begin,
        vocabulary["<|notimestamps|>"]: first,
        begin: first,
    }
