"""A PostgreSQL server for all contracts, and an empty database for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from evals.postgres import Postgres, private_postgres
from tools.jobs.schema import apply_schema
from tools.storage.migrations import upgrade
from tools.storage.postgres import postgres_engine

_numbers = count(1)
TEMPLATE = "handrail_template"


@pytest.fixture(name="postgres", scope="session")
def postgres_fixture() -> Iterator[Postgres]:
    """Run one server; a test that stops it starts it again."""
    with private_postgres() as server:
        yield server


@pytest.fixture(name="new_database", scope="session")
def new_database_fixture(postgres: Postgres) -> Callable[[], str]:
    """Return what creates a database with our tables and those of jobs, and returns its URL."""
    engine = postgres_engine(postgres.create(TEMPLATE))
    upgrade(engine)
    with engine.begin() as connection:
        apply_schema(connection)
    engine.dispose()

    def create() -> str:
        name = f"handrail_{next(_numbers)}"
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            statement = SQL("create database {} template {}").format(Identifier(name), Identifier(TEMPLATE))
            connection.execute(statement)
        return postgres.url(name)

    return create
