"""The CI's host. All that is GitHub's own is in one module and in templates/workflows."""
