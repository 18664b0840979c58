"""The folder of one job in the staging store: its keys, files, ledger, result, error report and custody log."""
