"""Search and answers over what was said: so far only their place in the import rules."""
