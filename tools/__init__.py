"""Programs that make parts of the documentation: tables, the page of the Python API, pictures, the site."""
