"""The templates of notes that an owner may use: those that are built in, and the owner's own."""

from pathlib import Path
from typing import Any

import asyncpg

from parley.errors import ClientError, NotFound
from parley.store import queries
from parley.store.failures import database_errors
from parley.templates import BUILT_IN, Template

_queries: Any = queries.load(Path(__file__).parent / "templates.sql")

MOST_TEMPLATES = 100
"""Own templates of one owner."""


class Templates:
    """All that `owner` may use. The owner is bound here, once, and every query filters by it (invariant 9).

    Every call raises BackendError where PostgreSQL does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, owner: str) -> None:
        self._pool = pool
        self._owner = owner

    async def available(self) -> list[Template]:
        """Those that are built in, then the owner's own by name."""
        async with database_errors():
            own = [_template(row) async for row in _queries.list_templates(self._pool, owner=self._owner)]
        return [*BUILT_IN.values(), *own]

    async def get(self, name: str) -> Template:
        """Raises NotFound that names those there are."""
        if (template := BUILT_IN.get(name)) is not None:
            return template
        async with database_errors():
            row = await _queries.get_template(self._pool, owner=self._owner, name=_storable(name))
        if row is None:
            raise _unknown(name, [template.name for template in await self.available()])
        return _template(row)

    async def create(self, template: Template) -> None:
        """Raises ClientError for a name that is taken, and where there are too many."""
        if await self._written("create_template", template):
            return
        if any(template.name == own.name for own in await self.available()):
            raise ClientError(f"There is a template {template.name!r} already.", code="template_exists")
        raise _too_many()

    async def put(self, template: Template) -> None:
        """Makes it, or takes the place of the owner's template of this name. Raises ClientError as `create`."""
        if not await self._written("put_template", template):
            raise _too_many()

    async def delete(self, name: str) -> None:
        """Notes that were written by it stay. Raises NotFound."""
        _check_own(name)
        async with database_errors():
            deleted = await _queries.delete_template(self._pool, owner=self._owner, name=_storable(name))
        if not deleted:
            raise _unknown(name, [template.name for template in await self.available()])

    async def _written(self, query: str, template: Template) -> bool:
        _check_own(template.name)
        async with database_errors():
            name = await getattr(_queries, query)(
                self._pool,
                owner=self._owner,
                name=template.name,
                title=_storable(template.title),
                instructions=_storable(template.instructions),
                most=MOST_TEMPLATES,
            )
        return name is not None


def _check_own(name: str) -> None:
    if name in BUILT_IN:
        raise ClientError(f"The template {name!r} is built in, and stays as it is.", code="built_in_template")


def _too_many() -> ClientError:
    return ClientError(f"There are {MOST_TEMPLATES} templates already, the most there can be.", code="too_many")


def _unknown(name: str, known: list[str]) -> NotFound:
    return NotFound(f"There is no template {name[:80]!r}; there are {', '.join(known)}.", code="no_such_template")


def _storable(text: str) -> str:
    """PostgreSQL's text holds no NUL."""
    return text.replace("\0", "")


def _template(row: asyncpg.Record) -> Template:
    return Template(row["name"], row["title"], row["instructions"])
