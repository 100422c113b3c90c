"""Every metric of every service, by name. `/metrics` serves them in Prometheus's text form."""

from prometheus_client import Counter, Gauge, Histogram

_LATENCY_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_SEARCH_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.5, 1.0, 5.0)

# --- gateway
SESSIONS_OPEN = Gauge("parley_gateway_sessions_open", "Live sessions that are open.")
SESSIONS = Counter("parley_gateway_sessions", "Live sessions by how they ended.", ["outcome"])
AUDIO_SECONDS = Counter("parley_gateway_audio_seconds", "Seconds of audio accepted.")
JOURNAL_SECONDS = Counter("parley_gateway_journal_seconds", "Seconds of audio made durable.")
JOURNAL_WRITE_S = Histogram(
    "parley_gateway_journal_write_seconds", "Time to make one part durable.", buckets=_LATENCY_S
)
COMPACTIONS = Counter(
    "parley_gateway_compactions",
    "Attempts to make one file of a closed recording's audio, by outcome: compacted, superseded (somebody came back),"
    " held_up (a store was away), failed (audio missing or damaged).",
    ["outcome"],
)
VAD_BATCH = Histogram(
    "parley_gateway_vad_batch_frames", "Frames in one call of the detector.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
VAD_CALL_S = Histogram("parley_gateway_vad_call_seconds", "Time of one call of the detector.", buckets=_LATENCY_S)
VAD_CPU_S = Counter("parley_gateway_vad_cpu_seconds", "Processor time of the detector.")
SEGMENTS = Counter("parley_gateway_segments", "Segments by why they ended.", ["reason"])
FINAL_LATENCY_S = Histogram(
    "parley_gateway_final_latency_seconds", "From a segment's endpoint to its stored final.", buckets=_LATENCY_S
)
PARTIAL_LAG_S = Histogram(
    "parley_gateway_partial_lag_seconds", "Audio received but not covered by a partial.", buckets=_LATENCY_S
)
ERRORS = Counter("parley_gateway_errors", "Errors told to clients, by code.", ["code"])
ENGINE_READY = Gauge("parley_gateway_engine_ready", "1 for an engine that is ready, 0 for one that is not.", ["engine"])
ENGINE_LOAD = Gauge("parley_gateway_engine_load", "Load of an engine: 0 idle, 1 full, NaN not ready.", ["engine"])

# --- engine
ENGINE_SESSIONS_OPEN = Gauge("parley_engine_sessions_open", "Sessions connected to this engine.")
ENGINE_WAITING = Gauge("parley_engine_waiting", "Decodes that wait for a device.", ["lane"])
ENGINE_DECODES = Counter("parley_engine_decodes", "Windows decoded.", ["lane"])
ENGINE_REPLACED = Counter(
    "parley_engine_partials_replaced", "Partials and drafts that a newer decode replaced before they ran."
)
ENGINE_BATCH = Histogram("parley_engine_batch_windows", "Windows in one batch.", buckets=(1, 2, 4, 8, 16, 32, 64))
ENGINE_BATCH_S = Histogram("parley_engine_batch_seconds", "Time of one batch on the device.", buckets=_LATENCY_S)
ENGINE_WAIT_S = Histogram(
    "parley_engine_wait_seconds", "From asking for a decode to its start.", ["lane"], buckets=_LATENCY_S
)
ENGINE_AUDIO_SECONDS = Counter("parley_engine_audio_seconds", "Seconds of audio decoded.", ["lane"])

# --- language models
LLM_CALLS = Counter("parley_llm_calls", "Calls to language models, by how they ended.", ["provider", "outcome"])
LLM_CALL_S = Histogram(
    "parley_llm_call_seconds",
    "Time of one call to a language model.",
    ["provider"],
    buckets=(0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300),
)

# --- batch workers
BATCH_STEPS = Counter(
    "parley_batch_steps",
    "Runs of steps by how they ended: succeeded, waiting, failed, dead, released, lease_lost, cancelled, deleted.",
    ["step", "ending"],
)
BATCH_STEP_S = Histogram(
    "parley_batch_step_seconds",
    "Time of one run of a step.",
    ["step"],
    buckets=(0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200),
)
BATCH_RUNNING = Gauge("parley_batch_running", "Steps that run in this worker.", ["kind"])
BATCH_HEARD = Counter("parley_batch_messages_heard", "Messages of the broker that came.", ["kind"])
BATCH_SENT = Counter("parley_batch_messages_sent", "Messages that the broker took.", ["kind"])
BATCH_REAPED = Counter("parley_batch_reaped", "Steps taken back from workers that gave no sign.", ["step"])
BATCH_BROKER_UP = Gauge("parley_batch_broker_up", "1 while the broker takes messages, 0 while it does not.")

# --- rag
RAG_EMBED_S = Histogram(
    "parley_rag_embed_seconds", "Time of one call of the embedding model.", ["what"], buckets=_LATENCY_S
)
RAG_EMBEDDED = Counter("parley_rag_passages_embedded", "Passages embedded.")
RAG_INDEXED = Counter("parley_rag_passages_indexed", "Passages put into an index.")
RAG_WAITING = Gauge("parley_rag_recordings_waiting", "Recordings whose passages are known not to be up to date.")
RAG_SEARCH_S = Histogram(
    "parley_rag_search_seconds", "Time of one search, the query's embedding included.", buckets=_SEARCH_S
)
SEARCH_S = Histogram(
    "parley_gateway_search_seconds",
    "Time of one search at the gateway, by whether it was remembered.",
    ["source"],
    buckets=_SEARCH_S,
)
