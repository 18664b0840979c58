"""The SourceErrors of MariaDB and MySQL, by the numbers of their errors."""

from __future__ import annotations

from typing import Final

from prefect_collect.connectors.sql.access import Access
from prefect_collect.errors import SourceError

_CODES: Final = {
    "bad_credentials": (1045, 1251, 1698, 1820, 1862, 2059, 3118, 4151),
    "access_denied": (1044, 1142, 1143, 1227, 1345, 1370, 1410),
    "not_found": (1049, 1051, 1146, 1932),
    "throttled": (1040, 1203, 1226),
    "timeout": (1205, 1969, 3024),
    "connection_lost": (0, 1053, 1158, 1159, 1160, 1161, 1927, 2002, 2003, 2005, 2006, 2013, 2014, 2055, 4031),
    "changed_during_read": (1412,),
    "read_error": (126, 127, 144, 145, 1030, 1032, 1034, 1194, 1195, 1356, 1365, 1690, 1712),
    "source_error": (1028, 1037, 1038, 1041, 1105, 1114, 1213, 1317),
}
_OF_NUMBER: Final = {number: code for code, numbers in _CODES.items() for number in numbers}


def failure_of(access: Access, error: Exception) -> SourceError | None:
    """Return the error of an exception of PyMySQL, or of its connection; None for any other exception."""
    import pymysql

    if isinstance(error, TimeoutError):
        return access.error("timeout", f"MariaDB: {error}")
    if isinstance(error, OSError | EOFError):
        return access.error("connection_lost", f"MariaDB: {error}")
    if not isinstance(error, pymysql.err.Error):
        return None
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    said = " ".join(str(part) for part in error.args[1:]) or str(error) or "the connection is closed"
    code = _OF_NUMBER.get(number, "unexpected_error")
    if number in (2003, 2013) and "timed out" in said:
        code = "timeout"
    return access.error(code, f"MariaDB says {number}: {said}")
