"""The tool with which a person clicks a thing and gets it whole."""
