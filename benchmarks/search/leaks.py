"""Does anybody find what another said? Words and vectors of one owner's own passages, searched for by another owner."""

import random

from benchmarks.search.library import Library
from parley.rag_wire import SearchFilters
from rag import words
from rag.index import scope_of

_WORDS = (2, 12)


async def leaks(library: Library, queries: int, seed: int = 1) -> int:
    """How many of so many searches brought a passage of another owner. Every third names the other's recording."""
    dice = random.Random(seed)
    owners = sorted({point.passage.source.owner for point in library.points})
    leaked = 0
    for number in range(queries):
        point = dice.choice(library.points)
        theirs = point.passage.source
        owner = dice.choice([each for each in owners if each != theirs.owner])
        said = point.passage.text.split()
        first = dice.randrange(len(said))
        query = " ".join(said[first : first + dice.randint(*_WORDS)])
        filters = SearchFilters(recording_id=theirs.recording_id) if number % 3 == 0 else None
        asked = words.of_query(query, library.searcher.languages)
        found = await library.index.search(scope_of(owner, filters), point.dense, asked, 10)
        shown = {each.payload["owner"] for each in (*found.dense, *found.words)}
        leaked += bool(shown - {owner})
    return leaked
