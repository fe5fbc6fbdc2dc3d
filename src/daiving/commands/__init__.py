"""One file a command, or a few that belong together; each takes the arguments behind its name."""
