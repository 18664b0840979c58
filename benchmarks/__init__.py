"""Side-by-side measurements of prefect-collect and of the tools that are used instead. See README.md."""
