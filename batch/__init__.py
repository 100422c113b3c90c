"""The batch path, from a file or a finished recording to notes: so far only its place in the import rules."""
