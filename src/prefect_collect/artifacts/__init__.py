"""What Prefect's UI shows of a job: its artifacts, and the event of each status."""
