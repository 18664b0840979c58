"""The job as a Prefect flow run: its states and notes, its place in the queue of its data source, its end.

Below flows and tasks, above the core. What is noted on a run is in `_notes`; who may start is decided in `_line` and
`_gate`; what a running job's process keeps up is in `_session`; what follows a job's end is in `_after`.
"""
