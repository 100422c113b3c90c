# A worker of the batch path. Context: the root of the project.
FROM python:3.11.13-slim-bookworm AS packages
WORKDIR /source
COPY requirements/batch.txt requirements/llm.txt requirements/
RUN python -m venv /opt/parley \
    && /opt/parley/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps \
        -r requirements/batch.txt -r requirements/llm.txt
COPY pyproject.toml README.md LICENSE ./
COPY parley/ parley/
COPY batch/ batch/
RUN /opt/parley/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM python:3.11.13-slim-bookworm
# /scratch, a volume, is for large temporary files: the file that is being transcribed; a new volume takes over whose it is.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin parley \
    && install -d -o parley -g parley /scratch
COPY --from=packages /opt/parley /opt/parley
ENV PATH=/opt/parley/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PARLEY_DATA=/tmp/parley \
    PARLEY_BATCH__HOST=0.0.0.0 \
    PARLEY_BATCH__PORT=8003
USER 10001
WORKDIR /tmp
EXPOSE 8003
# It lives and hears. A broker or an engine that is away must not turn into a restart: that is /readyz.
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8003/healthz', timeout=3)"]
CMD ["python", "-m", "batch"]
