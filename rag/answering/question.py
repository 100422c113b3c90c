"""What a question asks for, by its words: which of them must be met, and what kind of answer it wants. Pure.

Questions in English, German, French and Spanish are read for the kind of answer; in another language it stays unknown,
and whatever judges it goes by everything else. Source of the approach: expected answer types, Li and Roth, Learning
question classifiers, https://aclanthology.org/C02-1150.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Wanted = Literal["number", "time", "duration", "person", "unknown"]
Terms = Callable[[str], frozenset[int]]
"""The index's own terms of a text: its words without the ones that say nothing, each as its stem. So what counts as a
word met is what BM25 counts."""

_WORD = re.compile(r"\w+(?:[.,:'’-]\w+)*")
_HAS_DIGIT = re.compile(r"\d")
_ASKS: tuple[tuple[Wanted, str], ...] = (
    (
        "duration",
        r"\bhow long\b|\bfor how many (?:hours|days|weeks|months|years)\b|\bwie lange?\b|\bcombien de temps\b"
        r"|\bcuánto tiempo\b",
    ),
    (
        "time",
        r"(?:^|\b(?:and|but|so|by|until|till|since|from)\s)\s*when\b|\bwhat (?:time|date|day|year|month)\b"
        r"|\bwhich (?:day|date|year|month|week)\b|\bwann\b|\bum wie ?viel uhr\b|\bquand\b|\bà quelle heure\b"
        r"|\bcuándo\b|\ba qué hora\b",
    ),
    (
        "number",
        r"\bhow (?:much|many|high|low|heavy|tall|big|large|old|far|fast|quickly|often|loud|hot|cold|warm|wide|deep"
        r"|thick|expensive)\b|\bwhat (?:does|do|did|would|will|is|was).*\b(?:cost|price|pay|charged?|fee|worth)\b"
        r"|\bwhat (?:is|was|are) .*\b(?:number|code|salary|temperature|pressure|weight|dose)\b|\bwie ?viele?\b"
        r"|\bwie (?:teuer|hoch|alt|schwer|weit|groß|oft)\b|\bwas kostet\b|\bcombien\b|\bquel est .*\b(?:numéro|prix)\b"
        r"|\bcuánt[oa]s?\b|\bcuál es .*\b(?:precio|número)\b",
    ),
    (
        "person",
        r"\bwho(?:m|se)?\b|\b(?:is|are|was) (?:\w+ ){1,4}called\b|\bwhat is (?:the|his|her|their) (?:sur)?name\b"
        r"|\bwer\b|\bwem\b|\bwie heißt\b|^qui\b|\bquién(?:es)?\b",
    ),
)
_NUMBER = re.compile(
    r"\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundreds?|thousands?|million|half|once|twice|dozen"
    r"|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|\w*(?:zehn|zig|hundert|tausend)\w*"
    r"|deux|trois|quatre|cinq|six|sept|huit|neuf|dix|onze|douze|vingt|trente|quarante|cinquante|soixante|cent|mille"
    r"|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|quince|veinte|veinti\w+|treinta|cuarenta"
    r"|cincuenta|sesenta|cien|cientos|\w+cientos|mil)\b",
    re.IGNORECASE,
)
_MOMENT = re.compile(
    r"\d|\b(?:january|february|march|april|may|june|july|august|september|october|november|december|mon|tues|wednes"
    r"|thurs|fri|satur|sun)(?:day)?s?\b|\b(?:today|tomorrow|yesterday|tonight|morning|noon|afternoon|evening|night"
    r"|midnight|spring|summer|autumn|winter|easter|christmas|weekend|week|month|year|quarter|o'clock|half past"
    r"|\w+(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|teenth|tieth)"
    r"|first|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth"
    r"|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch|morgen|heute|gestern|mittags?|abends?|uhr|januar|februar|märz"
    r"|mai|juni|juli|oktober|dezember|herbst|sommer|frühling"
    r"|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|demain|hier|aujourd'hui|matin|soir|nuit|jours?|midi"
    r"|lunes|martes|miércoles|jueves|viernes|sábado|domingo|mañana|ayer|hoy|noche|tarde|semana)\b",
    re.IGNORECASE,
)
_SPAN = re.compile(
    r"\b(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|seasons?|nights?|centur(?:y|ies)|sekunden?|minuten?"
    r"|stunden?|tage?n?|wochen?|monate?n?|jahre?n?|saisonen|secondes?|heures?|jours?|semaines?|mois|ans?|segundos?"
    r"|minutos?|horas?|días?|semanas?|meses|mes|años?|hora)\b",
    re.IGNORECASE,
)
_SOMEBODY = re.compile(
    r"(?<![.!?…]\s)(?<!^)\b[A-ZÀ-Þ][\w'’-]+|\b(?:I|me|he|she|they|we|father|mother|brother|sister|uncle|aunt|husband"
    r"|wife|daughter|son|neighbours?|doctor|teacher|customer|soldiers|people)\b"
)
_FITS: dict[Wanted, re.Pattern[str]] = {
    "number": _NUMBER,
    "time": _MOMENT,
    "duration": _SPAN,
    "person": _SOMEBODY,
}


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it is judged.

    `words`: the terms of each word that says something. `exact`: words that only themselves can meet: numbers, codes.
    `names`: words that are written like names.
    """

    text: str
    words: tuple[frozenset[int], ...]
    exact: tuple[str, ...]
    names: tuple[str, ...]
    wanted: Wanted


def read(text: str, terms: Terms) -> Question:
    """Takes a question apart."""
    written = _WORD.findall(text)
    exact = tuple(word for word in written if _HAS_DIGIT.search(word))
    names = tuple(word for word in written[1:] if word[0].isupper() and word not in exact and terms(word))
    counting = tuple(numbers for word in written if (numbers := terms(word)))
    return Question(text, counting, exact, names, wanted_by(text))


def wanted_by(text: str) -> Wanted:
    """The kind of answer that a question wants."""
    asked = text.lower().strip("¿ ")
    met = [(found.start(), kind) for kind, pattern in _ASKS if (found := re.search(pattern, asked))]
    return min(met)[1] if met else "unknown"  # the first word that asks is the one that counts


def fits(wanted: Wanted, answer: str) -> bool | None:
    """Whether `answer` has anything of the kind wanted; None where the kind is unknown."""
    pattern = _FITS.get(wanted)
    return None if pattern is None else pattern.search(answer) is not None


def has_word(text: str, word: str) -> bool:
    """Whether `word` stands in `text` as a word, in any case."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None
