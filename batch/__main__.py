"""`python -m batch [--fd N]`: one worker, as `parley up` starts it; the queues are those of the settings."""

import argparse
import os
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m batch", description="A worker of Parley's batch path.")
    parser.add_argument("--fd", type=int, help="serve /healthz, /readyz and /metrics on this inherited socket")
    arguments = parser.parse_args()
    from batch import celery

    celery.host.listen_on(arguments.fd)
    queues = ",".join(celery.settings.batch.queues)
    name = f"batch-{os.getpid()}@%h"
    others = ("--without-mingle", "--without-gossip", "--without-heartbeat")
    try:
        celery.app.worker_main(["--quiet", "worker", f"--hostname={name}", f"--queues={queues}", *others])
    except SystemExit as exit_:
        if exit_.code:
            return int(exit_.code) if isinstance(exit_.code, int) else 1
    return 1 if celery.host.failure else 0


if __name__ == "__main__":
    sys.exit(main())
