"""The protocols of the data sources: listing, opening, and the meaning of errors. Nothing here imports Prefect."""
