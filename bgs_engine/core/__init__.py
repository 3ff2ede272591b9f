"""What everything else stands on: codes, cameras, label table, errors, events, files. Needs numpy alone."""
