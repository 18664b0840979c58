"""The export job."""
export = None
