"""Deployments: how jobs are served and scheduled. Empty in this release; flows can be served with `flow.serve`."""
