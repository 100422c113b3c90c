"""Search and answers over what was said. Nothing is here yet but its place in the import rules."""
