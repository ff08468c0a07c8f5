"""The CI's hosts: what is GitHub's or GitLab's own is here and in templates/workflows."""
