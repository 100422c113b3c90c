"""Jobs of scripted steps in real workers: how fast the way to them is, and what is lost when everything dies."""
