"""Named queries from SQL files, by aiosql, run on asyncpg's pools and connections alike."""

from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import aiosql
from aiosql.adapters.asyncpg import AsyncPGAdapter

_Values = Mapping[str, Any]


def load(path: Path) -> Any:
    """The queries of one file, each a method that takes the pool or connection, then its parameters by name."""
    adapter: Any = _Adapter  # aiosql's own types do not know what it calls
    return aiosql.from_path(path, adapter, mandatory_parameters=False)


class _Adapter(AsyncPGAdapter):
    """A pool has the methods of its connections. aiosql's own adapter goes through `dir(pool)` at each query to find
    out which of the two it has; that takes a fifth of the time of a short query. Of the kinds of query that aiosql
    knows, those that are used are here; the others still do."""

    def maybe_order_params(self, query_name: str, parameters: _Values) -> list[Any]:
        return [parameters[name] for name in self.var_sorted[query_name]]

    async def select(
        self, conn: Any, query_name: str, sql: str, parameters: _Values, record_class: None = None
    ) -> AsyncIterator[Any]:
        for row in await conn.fetch(sql, *self.maybe_order_params(query_name, parameters)):
            yield row

    async def select_one(
        self, conn: Any, query_name: str, sql: str, parameters: _Values, record_class: None = None
    ) -> Any:
        return await conn.fetchrow(sql, *self.maybe_order_params(query_name, parameters))

    async def select_value(self, conn: Any, query_name: str, sql: str, parameters: _Values) -> Any:
        return await conn.fetchval(sql, *self.maybe_order_params(query_name, parameters))

    async def insert_update_delete(self, conn: Any, query_name: str, sql: str, parameters: _Values) -> Any:
        return await conn.execute(sql, *self.maybe_order_params(query_name, parameters))

    async def insert_update_delete_many(
        self, conn: Any, query_name: str, sql: str, parameters: Iterable[_Values]
    ) -> Any:
        return await conn.executemany(sql, [self.maybe_order_params(query_name, values) for values in parameters])
