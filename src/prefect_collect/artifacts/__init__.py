"""The artifacts that show jobs in Prefect's UI, and the publishing of each status."""
