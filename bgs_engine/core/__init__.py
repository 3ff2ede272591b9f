"""Codes, cameras, colours, label table, errors, events and files. The other rooms build on it. It needs numpy alone."""
