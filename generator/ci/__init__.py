"""A channel's own repository, and what its CI does: jobs, releases, what a month of it takes."""
