"""The Celery application: `celery -A batch worker -Q stt,llm,index,notify`, anywhere with the PARLEY_ variables.

Celery brings messages, and that is all: a message is the number of a step, and means that something is due in its
queue. What is done, by whom, and whether it was done is PostgreSQL's to say (docs/jobs.md).
"""

import logging
import os
import sys
from typing import Any, cast

from celery import Celery, signals
from celery.worker import state
from celery.worker.consumer import consumer
from kombu.entity import Queue

from batch.brokers import HOLD_S, Broker, broker_of
from batch.host import Host
from batch.sender import Sender
from parley.errors import ParleyError, SetupError
from parley.jobs import KINDS, Kind
from parley.logs import configure
from parley.serve import EXIT_SETUP
from parley.settings import Settings, load_settings

TASK = "parley.step"


def build_app(settings: Settings, broker: Broker) -> Celery:
    """Celery with the options that the broker needs. Its task only wakes a worker: see `batch.host`."""
    app = Celery("parley", broker=broker.url, set_as_current=False)
    app.conf.update(
        broker_transport_options=dict(broker.hearing),
        broker_heartbeat=broker.heartbeat_s,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_queues=[_queue(kind, broker) for kind in KINDS],
        task_default_queue=KINDS[0],
        task_default_exchange="parley",
        task_create_missing_queues=False,
        # A message is acknowledged when its step is claimed: from then on the lease guards it.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=True,
        worker_prefetch_multiplier=1,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        result_backend=None,
        result_backend_transport_options={"visibility_timeout": HOLD_S},
        task_serializer="json",
        accept_content=["json"],
        # Steps are coroutines of one loop: threads that wait for a claim are all that is needed (ADR 17).
        worker_pool="threads",
        worker_concurrency=len(KINDS),
        worker_soft_shutdown_timeout=settings.batch.stop_s,
        worker_enable_soft_shutdown_on_idle=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # What Parley has its own of: /readyz, /metrics, job events.
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    return app


def _queue(kind: Kind, broker: Broker) -> Any:
    return Queue(kind, routing_key=kind, queue_arguments=dict(broker.queue_arguments) or None)  # type: ignore[no-untyped-call]


def _start() -> Settings:
    try:
        return load_settings()
    except SetupError as error:
        print(f"parley: {error.message}", file=sys.stderr)
        sys.exit(EXIT_SETUP)


settings = _start()
broker = broker_of(settings.batch.broker_url or settings.redis_url or "redis://")
app = build_app(settings, broker)
host = Host(settings)


def wake(task: Any, step_id: int) -> None:
    """Something is due in the queue that this came from."""
    host.answer(cast(Kind, task.request.delivery_info["routing_key"]))


app.task(wake, name=TASK, bind=True)


def _log_as_parley_does(**_: Any) -> None:
    configure(settings, "batch")
    for each in ("celery.worker.strategy", "celery.app.trace"):  # two lines a message
        logging.getLogger(each).setLevel(logging.WARNING)
    logging.getLogger(consumer.__name__).addFilter(_lost_broker_is_a_warning)


def _lost_broker_is_a_warning(record: logging.LogRecord) -> bool:
    """Celery calls it an error; it tries again for ever, and Parley warns of whatever is away and comes back."""
    if record.msg == consumer.CONNECTION_ERROR:
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
    return True


def _open(sender: str, instance: Any, **_: Any) -> None:
    """Celery is set up, but hears nothing yet."""
    kinds = [cast(Kind, name) for name in instance.app.amqp.queues.consume_from]
    try:
        host.start(lambda: Sender(app, broker, TASK), f"{sender}/{os.getpid()}", kinds, _fail)
    except ParleyError as error:
        print(f"parley: {error.message}", file=sys.stderr)
        sys.stderr.flush()
        os._exit(EXIT_SETUP if isinstance(error, SetupError) else 1)


def _fail() -> None:
    """Celery looks at this again and again, and stops with this status."""
    state.should_stop = 1


def _consuming(**_: Any) -> None:
    host.consuming()


def _stopping(**_: Any) -> None:
    host.begin_to_stop()


def _stopped(**_: Any) -> None:
    host.stop()


signals.setup_logging.connect(_log_as_parley_does)
signals.celeryd_after_setup.connect(_open)
signals.worker_ready.connect(_consuming)
signals.worker_shutting_down.connect(_stopping)
signals.worker_shutdown.connect(_stopped)
