"""A job as its readers see it, as Markdown or lines of text. Nothing here knows Prefect."""
