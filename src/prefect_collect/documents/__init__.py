"""The chain of custody document of a package or a job: what it says, as JSON, HTML and PDF."""
