"""From a file to stored audio and finals; `batch.steps.transcribe` puts the pieces together.

    source ─▶ temporary file ─▶ decode ─▶ parts (FLAC) ──────────────▶ object storage, PostgreSQL
                                   └────▶ speech ─▶ pieces ─▶ engine or provider ─▶ finals ─▶ PostgreSQL

What it makes is a function of the file and the settings, and what is stored is always a beginning of that. So it can be
given up at any moment and begun again from the last stored final by whoever comes next (invariant 3).
"""
