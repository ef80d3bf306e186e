# docker build -t insights-exporter .
# docker run -p 10093:10093 insights-exporter demo
#
# PYTHON_IMAGE_DIGEST pins the base to its very bytes: --build-arg PYTHON_IMAGE_DIGEST=sha256:…
ARG PYTHON_IMAGE=docker.io/library/python:3.11.14-slim-bookworm
ARG PYTHON_IMAGE_DIGEST=

FROM ${PYTHON_IMAGE}${PYTHON_IMAGE_DIGEST:+@${PYTHON_IMAGE_DIGEST}} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
# Two environments: one that builds, one that is shipped, without pip.
RUN python3 -m venv tools \
 && tools/bin/pip install --quiet --require-hashes -r requirements-build.lock \
 && python3 -m venv --without-pip /opt/insights-exporter \
 && tools/bin/pip --python /opt/insights-exporter/bin/python install --quiet --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
COPY config.example.yaml ./
COPY docs/examples docs/examples
COPY docs/insights-exporter.1 docs/
COPY grafana/dashboards grafana/dashboards
COPY prometheus/rules prometheus/rules
ARG REVISION=
RUN if [ -n "$REVISION" ]; then echo "$REVISION" >exporter/commit.txt; fi
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels . \
 && tools/bin/pip --python /opt/insights-exporter/bin/python install --quiet --no-deps wheels/*.whl \
 && find /opt/insights-exporter -type d -name tests -prune -exec rm -r {} + \
 && find /opt/insights-exporter -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.c' -o -name '*.h' \) -delete

FROM ${PYTHON_IMAGE}${PYTHON_IMAGE_DIGEST:+@${PYTHON_IMAGE_DIGEST}}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Insights Exporter" \
      org.opencontainers.image.description="A Prometheus exporter for GraphQL APIs behind OAuth 2.0 client credentials" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/insights-exporter /opt/insights-exporter
ENV PATH=/opt/insights-exporter/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 10093
STOPSIGNAL SIGTERM
# For the default address, without TLS; elsewhere give --health-cmd or the orchestrator's own probes.
HEALTHCHECK --interval=15s --timeout=4s --start-period=10s --retries=3 \
  CMD ["python3", "-I", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 10093, timeout=3); c.request('GET', '/-/healthy'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["insights-exporter"]
