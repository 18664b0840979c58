"""How each kind of data source is spoken to: listing, opening, and what its errors mean. Nothing here knows Prefect."""
