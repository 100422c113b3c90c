"""The batch path: from a file or a finished recording to notes. Nothing is here yet but its place in the import rules."""
