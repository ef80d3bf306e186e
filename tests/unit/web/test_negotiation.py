"""Which form of `/metrics` a client gets, by the headers that real clients send."""

from __future__ import annotations

import pytest

from exporter.exposition import Format
from exporter.web.negotiation import representation

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

PROMETHEUS_2_30 = "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;escaping=allow-utf-8;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;escaping=allow-utf-8;q=0.3,*/*;q=0.2"
)
# Prometheus 3 as a library: Grafana Alloy and the OpenTelemetry Collector scrape with its code. With classic names:
PROMETHEUS_3_UNDERSCORES = PROMETHEUS_3.replace("allow-utf-8", "underscores")
# with native histograms:
PROMETHEUS_3_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
VMAGENT = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param(PROMETHEUS_2_30, TEXT, id="Prometheus 2.30 knows no OpenMetrics 1.0"),
        pytest.param(PROMETHEUS_2_42, OPENMETRICS, id="Prometheus 2.42"),
        pytest.param(PROMETHEUS_2_PROTOBUF, OPENMETRICS, id="Prometheus 2.42 with native histograms"),
        pytest.param(PROMETHEUS_3, OPENMETRICS + "; escaping=underscores", id="Prometheus 3.11, Alloy, OTel Collector"),
        pytest.param(PROMETHEUS_3_3, OPENMETRICS + "; escaping=underscores", id="Prometheus 3.3"),
        pytest.param(PROMETHEUS_3_UNDERSCORES, OPENMETRICS + "; escaping=underscores", id="Alloy, classic names"),
        pytest.param(PROMETHEUS_3_PROTOBUF, OPENMETRICS + "; escaping=underscores", id="Alloy, native histograms"),
        pytest.param(VMAGENT, TEXT, id="vmagent"),
        pytest.param("*/*", TEXT, id="curl"),
        pytest.param(CHROMIUM, TEXT, id="Chromium"),
        pytest.param(FIREFOX, TEXT, id="Firefox"),
        pytest.param("", TEXT, id="no header"),
    ],
)
def test_every_client_gets_a_format_that_it_knows(accept: str, content_type: str) -> None:
    """Each scraper gets the best format that it asks for, and a Content-Type that names its version."""
    found = representation(accept, "gzip")
    assert found.content_type == content_type
    assert found.format is (Format.OPENMETRICS if content_type.startswith("application/") else Format.TEXT)
    assert found.gzip


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/plain;q=0.2, application/openmetrics-text;q=0.3", Format.OPENMETRICS),
        ("text/plain;q=0.3, application/openmetrics-text;q=0.2", Format.TEXT),
        ("text/plain, application/openmetrics-text", Format.TEXT),  # equal
        ("application/openmetrics-text", Format.OPENMETRICS),
        ("application/*", Format.OPENMETRICS),
        ("text/*;q=0.4, application/*;q=0.5", Format.OPENMETRICS),
        ("*/*, text/plain;q=0.1", Format.OPENMETRICS),  # the more specific range counts, not the first
        ("application/openmetrics-text;q=0, */*", Format.TEXT),
        ("text/plain;q=0, */*;q=0.1", Format.OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0, text/plain;q=0.1", Format.TEXT),
        ("application/openmetrics-text;version=2.0.0", Format.TEXT),  # nothing fits: what all understand
        ('Application/OpenMetrics-Text ; Version="1.0.0" ; q=0.9 , text/plain;q=0.8', Format.OPENMETRICS),
        ('application/openmetrics-text;note="a,b;q=0"', Format.OPENMETRICS),
        ("application/openmetrics-text;q=nonsense, text/plain;q=0.1", Format.TEXT),
        ("application/openmetrics-text;q=1.5, text/plain;q=0.1", Format.TEXT),
        (",,;;, ;q=1, /, */, text", Format.TEXT),
    ],
)
def test_quality_decides(accept: str, wanted: Format) -> None:
    """Media ranges weigh as RFC 9110 §12.5.1 says, and nonsense is not an error."""
    assert representation(accept, "").format is wanted


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("br, *", True),
        ("identity;q=0", False),  # nothing fits: what all understand
        ("identity;q=0, *", True),
        ("gzip;q=0.5, identity", False),
        ("identity;q=0.5, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("deflate, br", False),
        ("identity", False),
        ("", False),
        ("gzip;q=0.001", True),
        ("gzip;q=x", False),
    ],
)
def test_gzip_is_for_those_who_take_it(accept_encoding: str, gzip: bool) -> None:
    """Codings weigh as RFC 9110 §12.5.3 says."""
    assert representation("", accept_encoding).gzip is gzip


def test_a_header_of_quotes_without_an_end_is_read_in_time() -> None:
    """The end that is missing is not looked for from each quote: a client would hold up all others."""
    default = representation("", "")
    for piece in ('"', '"\\', '\\"', ';a="\\"', ",", ";", ";a=", " "):
        hostile = '"' + piece * (200_000 // len(piece))
        assert representation(hostile, hostile) == default
    assert representation('"\\", application/openmetrics-text', "").format is Format.TEXT  # all of it is in quotes


def test_long_headers_are_not_remembered() -> None:
    """A client cannot fill memory with headers: long ones are parsed each time, with the same outcome."""
    short = "application/openmetrics-text"
    padded = "text/x-padding;q=0.1," * 200 + short
    assert representation(padded, "gzip") == representation(short, "gzip")
    assert representation(short, "gzip") is representation(short, "gzip")
    assert representation(padded, "gzip") is not representation(padded, "gzip")
