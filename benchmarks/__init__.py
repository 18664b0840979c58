"""Side-by-side measurements of prefect-collect and the tools that people use instead. See README.md."""
