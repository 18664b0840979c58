"""The pages of jobs as Markdown, and lines of text about them. Nothing here imports Prefect."""
