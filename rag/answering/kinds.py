"""What kind of answer a question wants, and how far a sentence has one. Pure.

A number alone says little: "how heavy" wants kilos, "what does it cost" wants money, and people leave the unit out
("it's a hundred and fifteen") but do not say another one. So numbers are read with the word behind them.

Questions in English, German, French and Spanish are read; in another language the kind stays unknown, and whatever
judges goes by everything else. Source of the approach: expected answer types, Li and Roth, Learning question
classifiers, https://aclanthology.org/C02-1150.
"""

import re
from typing import Literal

Kind = Literal[
    "money",
    "count",
    "measure",
    "duration",
    "time",
    "person",
    "name",
    "code",
    "place",
    "colour",
    "reason",
    "unknown",
]

_ASKS: tuple[tuple[Kind, str], ...] = (
    ("reason", r"\bwhy\b|\bhow come\b|\bwhat (?:caused|causes)\b|\bwarum\b|\bwieso\b|\bpourquoi\b|\bpor qué\b"),
    (
        "duration",
        r"\bhow long\b|\b(?:for )?how many (?:seconds|minutes|hours|days|weeks|months|years|nights)\b|\bwie lange?\b"
        r"|\bcombien de temps\b|\bcuánto tiempo\b",
    ),
    (
        "time",
        r"(?:^|\b(?:and|but|so|by|until|till|since|from)\s)\s*when\b"
        r"|\b(?:what|which) (?:time|date|day|year|month|week|hour)\b|\bwann\b|\bum wie ?viel uhr\b|\bquand\b"
        r"|\bà quelle heure\b|\bcuándo\b|\ba qué hora\b",
    ),
    (
        "money",
        r"\bhow much (?:money|does|do|did|is|are|was|were|would|will)?.*\b(?:cost|costs|price|pays?|paid"
        r"|earn\w*|charges?"
        r"|charged|fee|rent|owe|saving|save|worth|money)\b"
        r"|\bhow much (?:money|rent)\b"
        r"|\bwhat (?:does|do|did|would|will|is|was|are).*\b(?:costs?|price|pay|charged?|fee|worth|salary|rent"
        r"|owe|earn)\b"
        r"|\bwhat price\b|\bhow (?:expensive|high is .*(?:rent|advance|fee|deposit|price))\b|\bwie teuer\b"
        r"|\bwas kostet\b"
        r"|\bcombien (?:coûte|ça coûte)\b|\bquel est le prix\b|\bcuánto (?:cuesta|vale)\b|\bcuál es .*\bprecio\b",
    ),
    (
        "code",
        r"\b(?:what|which) (?:is|was|are) .*\b(?:number|code|password|pin|address|e-?mail)\b|\bpassword\b"
        r"|\bquel est .*\bnuméro\b|\bwelche nummer\b|\bcuál es .*\bnúmero\b",
    ),
    (
        "measure",
        r"\bhow (?:high|low|heavy|tall|big|large|old|far|fast|quickly|loud|hot|cold|warm|wide|deep|thick|sure"
        r"|precise)\b"
        r"|\bhow much (?:does|do|did) .* weigh\b"
        r"|\b(?:what|which) .*\b(?:temperature|pressure|weight|dose|size|age|speed|wavelengths?|percentage)\b"
        r"|\bwie (?:hoch|alt|schwer|weit|groß)\b",
    ),
    ("count", r"\bhow (?:much|many|often)\b|\bwie ?viele?\b|\bwie oft\b|\bcombien\b|\bcuánt[oa]s?\b"),
    ("colour", r"\b(?:what|which) colou?r\b|\bwelche farbe\b|\bquelle couleur\b|\bqué color\b"),
    (
        "name",
        r"\b(?:is|are|was|were) (?:[\w’'-]+ ){1,7}called\b|\bwhat is (?:the|his|her|their|its|my) (?:sur|first )?name\b"
        r"|\bwhat (?:is|was) .*\bnames?\b|\bwhat brand\b|\bwhich (?:brand|company|make)\b|\bwie heißt\b"
        r"|\bcomment s'appelle\b"
        r"|\bcómo se llama\b",
    ),
    ("person", r"\bwho(?:m|se)?\b|\bwer\b|\bwem\b|\bwen\b|^qui\b|\bquién(?:es)?\b"),
    ("place", r"\bwhere\b|\b(?:in|at|to) which (?:room|place|town|city|country)\b|\bwo\b|\bwohin\b|\boù\b|\bdónde\b"),
)

_ONES = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundreds?|thousands?|millions?|half|dozens?|zero|nothing|quarter"
    r"|eine?|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|\w*(?:zehn|zig|hundert|tausend)\w*"
    r"|un|une|deux|trois|quatre|cinq|sept|huit|neuf|dix|onze|douze|vingt|trente|quarante|cinquante|soixante|cent|mille"
    r"|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|quince|veinte|veinti\w+|treinta|cuarenta"
    r"|cincuenta|sesenta|cien|cientos|\w+cientos|mil)"
)
_NUMBER = re.compile(
    rf"(?<![\w-])(?:an?\s+(?=hundred|thousand|million|dozen|half|quarter))?"
    rf"((?:\d[\d.,:/-]*|{_ONES})(?:[\s-]+(?:and\s+(?={_ONES}\b)|y\s+)?(?:\d[\d.,:/-]*|{_ONES})(?![\w]))*)(?![\w])"
    rf"\s*(%|€|\$|[^\W\d_]+)?(?:\s+([^\W\d_]+))?",
    re.IGNORECASE,
)
_UNITS: dict[str, re.Pattern[str]] = {
    "money": re.compile(r"€|\$|euros?|cents?|pounds?|dollars?|apiece|francs?|penny|pence", re.IGNORECASE),
    "span": re.compile(
        r"seconds?|minutes?|hours?|days?|weeks?|months?|years?|seasons?|nights?|centur(?:y|ies)|sekunden?|minuten?"
        r"|stunden?|tage?n?|wochen?|monate?n?|jahre?n?|saisonen|secondes?|heures?|jours?|semaines?|mois|ans?"
        r"|segundos?|minutos?|horas?|días?|semanas?|meses|mes|años?|cuarto",
        re.IGNORECASE,
    ),
    "measure": re.compile(
        r"%|percent|prozent|(?:kilo|centi|milli|nano)?(?:met(?:re|er)s?|grams?|litres?|liters?)|kilos?|tons?|tonnes?"
        r"|degrees?|grad|bar|newton|watts?|kilowatts?|volts?|hertz|decibels?|(?:kilo|mega|giga)bytes?|hectares?|square"
        r"|units|g|kg|km|cm|mm|below|milímetros|gramos|millimetern?",
        re.IGNORECASE,
    ),
}
_SPAN = re.compile(rf"\b(?:{_UNITS['span'].pattern})\b", re.IGNORECASE)
_CALENDAR = re.compile(
    r"\b(?:january|february|march|april|may|june|july|august|september|october|november|december|mondays?|tuesdays?"
    r"|wednesdays?|thursdays?|fridays?|saturdays?|sundays?|today|tomorrow|yesterday|tonight|morning|noon"
    r"|afternoon|evening"
    r"|midnight|spring|summer|autumn|winter|easter|christmas|weekend|o'clock|half past|(?:next|last|this) \w+|by \w+"
    r"|\w+(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|teenth|tieth)"
    r"|first|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|montag|dienstag|mittwoch|donnerstag"
    r"|freitag|samstag|sonntag|morgen|heute|gestern|mittags?|abends?|uhr|januar|februar|märz|mai|juni|juli|oktober"
    r"|dezember|herbst|sommer|frühling|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|demain|hier|aujourd'hui"
    r"|matin|soir|nuit|midi|lunes|martes|miércoles|jueves|viernes|sábado|domingo|mañana|ayer|hoy|noche|tarde)\b",
    re.IGNORECASE,
)
_CLOCK = re.compile(
    r"\b\d{1,2}:\d\d\b|\b(?:19|20)\d\d\b|\b(?:at|by|until|from|before|after|since|to) (?:half past )?"
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d{1,2})\b(?! \w+s\b)",
    re.IGNORECASE,
)
_PROPER = re.compile(r"(?<![.!?…:]\s)(?<!^)(?<![\"“„])\b(?!I\b|I')[A-ZÀ-Þ][\w'’-]+")
_TITLED = re.compile(
    r"\b(?:Mr|Mrs|Mister|Doctor|Dr|Frau|Herr|Professor|Aunt|Uncle|Madame|Monsieur|Señora?)\.? [A-ZÀ-Þ]"
)
_OPENS_WITH_NAME = re.compile(
    r"^[A-ZÀ-Þ][a-zà-þ]{2,}(?: (?:does|did|is|was|has|will|would|can|and|[a-z]+s|[a-z]+ed)\b|[,.])"
)
_DOER = re.compile(
    r"\b(?:I|I'll|I'd|I've|me|he|she|they|we|father|mother|brother|sister|uncle|aunt|husband|wife|daughter|son"
    r"|neighbours?"
    r"|doctor|teacher|customer|soldiers|people|cousin|apprentice|nobody|somebody|ich|er|sie|wir|je|il|elle)\b"
)
_CODE = re.compile(r"\b[A-Z]*-?\d[\w.:/-]*\d\b|\b\d{2,}\b|\bstar \d+")
_COLOUR = re.compile(
    r"\b(?:white|black|grey|gray|red|blue|green|yellow|orange|brown|pink|purple|violet|beige|dark|light"
    r"|weiß|schwarz|grau|rot|blau|grün|gelb|braun|blanc|noir|gris|rouge|bleu|vert|jaune|blanco|negro|rojo|azul"
    r"|verde)\w*\b",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"\b(?:in|at|on|to|behind|under|beside|from|near|into|onto|next to|between|over|im|am|bei|auf|unter|hinter"
    r"|dans|sur|chez"
    r"|en|sobre)\s+(?:the|a|an|our|my|his|her|their|its|dem|der|den|le|la|les|el|los|las|[A-ZÀ-Þ]\w+|room|floor)\b"
)
_REASON = re.compile(
    r"\b(?:because|since|so that|that's why|reason|due to|otherwise|therefore|in order|cause[ds]?|it was|weil"
    r"|denn|damit"
    r"|parce que|car|puisque|porque|para que)\b",
    re.IGNORECASE,
)


def kind_of(text: str) -> Kind:
    """The kind of answer that a question wants; the first word that asks is the one that counts."""
    asked = text.lower().strip("¿ ")
    met = [
        (found.start(), place, kind) for place, (kind, form) in enumerate(_ASKS) if (found := re.search(form, asked))
    ]
    return min(met)[2] if met else "unknown"


def fit(kind: Kind, sentence: str) -> float:
    """How far a sentence has an answer of that kind, 0 to 1; of a kind that shows in nothing, 0.5."""
    match kind:
        case "money" | "count" | "measure":
            return max((_number_fit(kind, *found) for found in _numbers(sentence)), default=0.0)
        case "duration":
            if any(_UNITS["span"].fullmatch(unit) for _, units in _numbers(sentence) for unit in units):
                return 1.0
            return 0.4 if _SPAN.search(sentence) or _NUMBER.search(sentence) else 0.0
        case "time":
            exact = len(_CALENDAR.findall(sentence)) + 2 * len(_CLOCK.findall(sentence))
            return min(1.0, 0.6 * exact)
        case "person":
            if _TITLED.search(sentence) or _PROPER.search(sentence):
                return 1.0
            return 0.6 if _DOER.search(sentence) or _OPENS_WITH_NAME.search(sentence) else 0.0
        case "name":
            if re.search(r"\b(?:called|named|name is|heißt|s'appelle|se llama)\b", sentence):
                return 1.0
            if _TITLED.search(sentence) or _PROPER.search(sentence):
                return 0.7
            return 0.4 if _OPENS_WITH_NAME.search(sentence) else 0.0
        case "code":
            return 1.0 if _CODE.search(sentence) else 0.0
        case "colour":
            return 1.0 if _COLOUR.search(sentence) else 0.0
        case "place":
            return 1.0 if _PLACE.search(sentence) else 0.2
        case "reason":
            return 1.0 if _REASON.search(sentence) else 0.4
        case _:
            return 0.5


def _numbers(sentence: str) -> list[tuple[str, tuple[str, ...]]]:
    """Each number with the one or two words behind it."""
    return [(found[1], tuple(word for word in (found[2], found[3]) if word)) for found in _NUMBER.finditer(sentence)]


def _number_fit(kind: Kind, number: str, units: tuple[str, ...]) -> float:
    first = units[0] if units else ""
    known = next((name for name, form in _UNITS.items() if form.fullmatch(first)), None)
    alone = number.lower() in ("one", "un", "une", "eine", "ein", "nothing", "zero")
    if kind == "money":
        if known == "money" or number.lower() == "nothing":
            return 1.0
        if known or alone:
            return 0.1
        return 0.8 if re.search(r"hundred|thousand|\d{3}|[a-z]ty\b|hundert|cent|mille", number.lower()) else 0.5
    if kind == "measure":
        return 1.0 if known in ("measure", "span") else 0.2 if alone else 0.5
    if known == "money" or known == "span":
        return 0.3
    return 0.3 if alone else 0.9
