"""Packages of the tables of databases: Parquet or CSV, with their schema and row counts."""
