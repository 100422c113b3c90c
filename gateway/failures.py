"""Errors turned into what the outside sees: the close code of a WebSocket, the status of an HTTP answer."""

from parley.errors import AtCapacity, BackendError, ClientError, EngineError, NotFound, ParleyError, TooLarge

NORMAL = 1000
CLOSE_CODES = {
    "malformed_message": 1007,
    "malformed_audio": 1007,
    "unsupported_audio": 1003,
    "frame_too_large": 1009,
    "no_audio": 1008,
    "start_expected": 1002,
    "start_timeout": 1008,
    "client_stalled": 1008,
    "forbidden_origin": 1008,
    "unsupported_language": 1008,
    "unsupported_task": 1008,
    "going_away": 1012,
}
_STATUSES: tuple[tuple[type[ParleyError], int], ...] = (
    (NotFound, 404),
    (TooLarge, 413),
    (ClientError, 400),
    (AtCapacity, 503),
    (BackendError, 503),
    (EngineError, 503),
)
_STATUS_OF_CODE = {
    "still_recording": 409,
    "forbidden_origin": 403,
    "range_not_satisfiable": 416,
    "going_away": 503,
    "method_not_allowed": 405,
    "template_exists": 409,
    "built_in_template": 409,
    "too_many": 409,
    "still_pending": 409,
    "job_at_work": 409,
    "presign_unsupported": 501,
    "not_uploaded": 409,
    "wrong_size": 409,
    "upload_complete": 409,
    "idempotency_conflict": 409,
    "upload_stalled": 408,
    "form_expected": 415,
    "wrong_offset": 409,
    "upload_expired": 410,
    "tus_version": 412,
    "tus_content_type": 415,
    "checksum_mismatch": 460,  # tus's own
}


def close_code(error: ParleyError | None) -> int:
    """The WebSocket close code (RFC 6455, section 7.4.1) for a session that ended with `error`."""
    if error is None:
        return NORMAL
    if error.code in CLOSE_CODES:
        return CLOSE_CODES[error.code]
    if isinstance(error, ClientError):
        return 1008
    return 1013 if error.retryable else 1011


def http_status(error: ParleyError) -> int:
    """The status of the HTTP answer (RFC 9110, section 15) to a request that failed with `error`."""
    if error.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[error.code]
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
