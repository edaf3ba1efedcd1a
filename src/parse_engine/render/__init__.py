"""Answers made visible: in the terminal and as an HTML page."""
