"""The stream engine: speech, segment by segment, to words."""

import os

# Threads of a decode that wait for each other must not spin: on a machine with other work a partial's p95 was 0.35 s
# spinning and 0.06 s sleeping (miniature Whisper, 2 cores, 2 busy processes beside it). CTranslate2 reads it once.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# NumPy's small matrices (mel filters) gain nothing from threads, and OpenBLAS's spin while they wait: two decodes at
# once did 41.7 windows of 4 s a second with one thread, 28.8 with two (tiny's shape, batches of 4, 2 cores).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
