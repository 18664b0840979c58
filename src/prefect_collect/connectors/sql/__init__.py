"""The connector for databases: PostgreSQL, MariaDB and MySQL, SQLite.

SQLAlchemy knows the URLs and the drivers. The rows do not go through it, nor through a driver's conversion to Python
objects: each database writes them as CSV or as text, and Arrow parses that into exact columns. For PostgreSQL, ADBC
(adbc-driver-postgresql 1.13) was measured beside it: a million rows of eight columns took it as much processor time as
COPY and Arrow's parser take, it gives numeric as text, and it has no row counts to hold to the listing's.
"""
