"""The job as a Prefect flow run: its state, labels, place in the queue of its data source, and end.

`labels` names the labels of a run. `source_queue` and `turn` decide which job may start, `session` keeps a running job
alive in Prefect, and `job_end` gives the slot to the next job.
"""
