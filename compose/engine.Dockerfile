# The stream engine, for processors (target `cpu`) and for NVIDIA GPUs (target `gpu`). Context: the root of the project.
FROM python:3.11.13-slim-bookworm AS packages
WORKDIR /source
COPY requirements/engine.txt requirements/
RUN python -m venv /opt/parley \
    && /opt/parley/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps -r requirements/engine.txt
COPY pyproject.toml README.md LICENSE ./
COPY parley/ parley/
COPY stream_engine/ stream_engine/
RUN /opt/parley/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM packages AS packages-gpu
COPY compose/cuda.txt ./
RUN /opt/parley/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps -r cuda.txt

FROM python:3.11.13-slim-bookworm AS base
# Models that the hub is asked for are kept in /data, a volume.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin parley \
    && install -d -o parley -g parley /data
ENV PATH=/opt/parley/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PARLEY_DATA=/data \
    HF_HOME=/data/hub \
    PARLEY_ENGINE__HOST=0.0.0.0
USER 10001
WORKDIR /tmp
VOLUME /data
EXPOSE 8001
# It lives, also while it loads or fetches its model: gateways ask /readyz for the rest.
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8001/healthz', timeout=3)"]
CMD ["python", "-m", "stream_engine"]

FROM base AS gpu
COPY --from=packages-gpu /opt/parley /opt/parley
# CTranslate2 opens libcublas.so.12 and no other library of CUDA; the driver comes from the machine.
ENV LD_LIBRARY_PATH=/opt/parley/lib/python3.11/site-packages/nvidia/cublas/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM base AS cpu
COPY --from=packages /opt/parley /opt/parley
