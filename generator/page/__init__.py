"""The channel's page: a folder of static files, no server, no tracking, readable from disk."""
