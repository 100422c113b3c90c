"""The batch path, from a file or a finished recording to notes: so far only how steps are claimed and retried."""
