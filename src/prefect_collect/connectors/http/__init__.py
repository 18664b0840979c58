"""HTTP on libcurl, shared by the connectors that speak it."""
