"""The console: pages for the people who run collections, over Prefect's runs and the staging store.

The console has no state of its own: each figure is read from Prefect or from the staging store, and each button calls a
function of `prefect_collect.jobs`.
"""
