"""Follow-up questions: what a question means after the ones before it. Pure.

Search knows nothing of a conversation. A language model can say a follow-up as a question of its own; without one, what
was asked before is searched for together with it.
"""

import re
from collections.abc import Sequence

from parley.ask import LONGEST_QUESTION, Exchange
from rag.answering.question import Terms

_MOST_EXCHANGES = 4
"""Of a conversation; what lies further back rarely says what `it` is."""
_ANSWER_SHOWN = 400
_FEW_TERMS = 2
_REFERS = re.compile(
    r"^\s*(?:and|but|so|or|what about|how about|und|aber|was ist mit|et|mais|y|pero|e)\b"
    r"|\b(?:it|its|that|this|these|those|he|she|they|him|her|his|hers|them|their|there|then|one|ones|same|else"
    r"|er|sie|es|ihn|ihm|ihr|ihre?[mnrs]?|seine?[mnrs]?|das|dies\w*|dort|dann|davon|dafür|damit"
    r"|il|elle|ils|elles|lui|leur|cela|ça|celui|celle|alors|él|ella|ellos|ellas|eso|esto|allí|entonces)\b",
    re.IGNORECASE,
)


def refers_back(question: str, terms: Terms) -> bool:
    """Whether a question needs the one before it: it says `it`, or hardly anything at all."""
    return len(terms(question)) <= _FEW_TERMS or _REFERS.search(question) is not None


def joined(question: str, history: Sequence[Exchange], terms: Terms) -> str:
    """What to search for: the question, behind the one that it follows where it refers back.

    Of a chain of follow-ups all up to the one that began it.
    """
    chain = [question]
    for exchange in reversed(history[-_MOST_EXCHANGES:]):
        if not refers_back(chain[0], terms):
            break
        chain.insert(0, exchange.question)
    text = " ".join(chain)
    return text if len(text) <= LONGEST_QUESTION else question


def as_data(question: str, history: Sequence[Exchange]) -> str:
    """The conversation as a model is shown it."""
    lines = []
    for exchange in history[-_MOST_EXCHANGES:]:
        lines += [f"Asked: {exchange.question}", f"Answered: {exchange.answer[:_ANSWER_SHOWN]}"]
    return "\n".join([*lines, f"Asked now: {question}"])
