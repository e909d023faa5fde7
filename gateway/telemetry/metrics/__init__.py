"""Numbers about calls and about this process: kept in cells, told to Prometheus and over OTLP."""

from gateway.telemetry.metrics.instruments import Metrics, MetricsSettings
from gateway.telemetry.metrics.rendering import CONTENT_TYPE

__all__ = ("CONTENT_TYPE", "Metrics", "MetricsSettings")
