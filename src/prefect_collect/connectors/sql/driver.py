"""The connections of the drivers, made by what SQLAlchemy knows of URLs."""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import Any, Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from prefect_collect.connectors.sql.access import KINDS, Access
from prefect_collect.errors import UsageError

_DRIVERS: Final = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_PACKAGES: Final = {"psycopg": "psycopg", "pymysql": "PyMySQL"}

PASSWORD_VARIABLE: Final = "MYSQL_PWD"
"""The environment variable of MariaDB's and MySQL's password; PostgreSQL's driver knows its own (`PGPASSWORD`)."""


def parsed(url: str) -> URL:
    """Return a URL of SQLAlchemy. Raise UsageError, which does not repeat it."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise UsageError("The URL is not one of SQLAlchemy, as postgresql://user@host/database.") from error


def _driver(access: Access) -> Any:
    """Return the module of a database's driver. Raise SourceError if it is not installed."""
    name = _DRIVERS[access.dialect]
    try:
        return import_module(name)
    except ImportError as error:
        what = f"{KINDS[access.dialect]} needs the driver {_PACKAGES[name]}: pip install 'prefect-collect[sql]'"
        raise access.error("program_missing", what) from error


def connected(access: Access, **arguments: Any) -> Any:
    """Return a connection of the database's driver. Raise UsageError, SourceError, or the driver's exceptions."""
    dialect, driver = access.dialect, _driver(access)
    url = parsed(access.url).set(drivername=f"{dialect}+{_DRIVERS[dialect]}")
    password = access.password
    if password is None and _DRIVERS[dialect] == "pymysql":
        password = os.environ.get(PASSWORD_VARIABLE)
    if password is not None:
        url = url.set(password=password)
    positional, named = url.get_dialect()().create_connect_args(url)
    named = named | json.loads(access.arguments) | arguments
    return driver.connect(*positional, **named)
