"""Whether a sentence sounds as if something is to be done: turns of phrase, language by language. Pure.

A candidate, never more: "I will be forty next year" is none, and no list of phrases tells it from "I will call them".
"""

import re
from collections.abc import Mapping

_PHRASES: Mapping[str, str] = {
    "en": r"\b(?:let'?s|let us|(?:we|you|i)(?:'ll| will| must| should| need to| have to| ought to|'ve got to)|please"
    r"|make sure|don'?t forget|remember to|to-?dos?|action items?|follow(?:ing)? up|get back to)\b",
    "de": r"\b(?:(?:wir|ich|du|ihr|sie) (?:müssen|muss|musst|müsst|sollten|sollte|solltest|werde|werden|wirst)"
    r"|lass(?:t|en sie)? uns|bitte|nicht vergessen|denk(?:t|en sie)? daran|to-?dos?|zu erledigen)\b",
    "fr": r"\b(?:il faut|il faudra|(?:nous devons|on doit|je dois|tu dois|vous devez|on va|je vais|nous allons)"
    r"|n'oubliez pas|n'oublie pas|s'il (?:te|vous) pla[iî]t|à faire)\b",
    "es": r"\b(?:hay que|tenemos que|tengo que|tienes que|tiene que|debemos|debes|vamos a|voy a|por favor"
    r"|no olvid(?:es|ar|emos)|hagamos)\b",
    "it": r"\b(?:dobbiamo|devo|devi|dovete|bisogna|facciamo|per favore|non dimenticar\w*|ricordat\w*)\b",
    "pt": r"\b(?:temos que|temos de|tenho que|tenho de|precisamos|preciso|devemos|vamos|por favor|não se esqueç\w*)\b",
    "nl": r"\b(?:we moeten|ik moet|je moet|jullie moeten|laten we|vergeet niet|alsjeblieft|alstublieft)\b",
    "ja": r"(?:しましょう|[てで]ください|お願いします|必要があ|なければな|しないと|忘れずに)",
    "zh": r"(?:我[们們](?:需要|要)|需要你|[请請](?:你|大家)|[别別]忘|[记記]得|必[须須]|麻[烦煩]你)",
}
_SAID = {language: re.compile(phrases, re.IGNORECASE) for language, phrases in _PHRASES.items()}


def says_a_task(text: str, language: str) -> bool:
    """Whether `text` does, in `language` (ISO 639); False for languages of which no phrases are known."""
    said = _SAID.get(language)
    return said is not None and said.search(text.replace("’", "'")) is not None
