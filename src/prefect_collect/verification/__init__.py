"""Proves a job's folder offline: its custody log, its files, its ledger, and the bytes of every staged item."""

from __future__ import annotations

from prefect_collect.verification._job import JobVerification, verify_job

__all__ = ["JobVerification", "verify_job"]
