"""What a query for packages means in SQL: conditions, order, totals, and where a walk goes on."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select, tuple_

from otarium.adapters import tables
from otarium.adapters.substring import holds
from otarium.domain.names import OWN_SOURCE
from otarium.domain.packages import PackageQuery, folded
from otarium.services.ports import Cursor

_P = tables.packages
_H = tables.package_hardware_ids


def conditions(query: PackageQuery) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    listed = {_P.c.source: query.sources, _P.c.sha256: query.hashes, _P.c.package_id: query.ids}
    where += [column.in_(values) for column, values in listed.items() if values]
    folds = {_P.c.id_folded: query.id_contains, _P.c.name_folded: query.name_contains}
    where += [holds(column, folded(part)) for column, part in folds.items() if part]
    exact = {_P.c.name: query.name, _P.c.version: query.version, _P.c.has_sbom: query.has_sbom}
    where += [column == value for column, value in exact.items() if value is not None]
    if query.hardware_ids:
        # Row by row: a set of all that match would be made anew for every page.
        where.append(exists().where(_H.c.pk == _P.c.pk, _H.c.hardware_id.in_(query.hardware_ids)))
    if query.external:
        where.append(_P.c.source != str(OWN_SOURCE))
    return where


def ordered(statement: Select[Any], query: PackageQuery) -> Select[Any]:
    columns = [_P.c.package_id, _P.c.source]
    if query.sort_by == "CreatedAt":
        columns.insert(0, _P.c.created_at)
    return statement.order_by(*(column.asc() if query.ascending else column.desc() for column in columns))


def after(query: PackageQuery, cursor: Cursor, last_id: str) -> ColumnElement[bool]:
    """The rows that come after the last one handed out, in the order of the query."""
    place, last = tuple_(_P.c.package_id, _P.c.source), (last_id, cursor.source)
    beyond_id = place > last if query.ascending else place < last
    if query.sort_by == "Filename":
        return beyond_id
    created = _P.c.created_at
    beyond = created > cursor.created_at if query.ascending else created < cursor.created_at
    return or_(beyond, and_(created == cursor.created_at, beyond_id))


def total(connection: Connection, query: PackageQuery) -> int:
    """How many match."""
    where = conditions(query)
    if len(where) == 1 and query.hardware_ids:
        matching = select(func.count(_H.c.pk.distinct())).where(_H.c.hardware_id.in_(query.hardware_ids))
    else:
        matching = select(func.count()).select_from(_P).where(*where)
    return int(connection.execute(matching).scalar_one())
