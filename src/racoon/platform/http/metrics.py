"""Prometheus metrics of one process, and gauges that are read from the database when somebody asks.

Each process counts for itself; only the HTTP process is asked, so what other processes do is reported by
gauges that contexts register and that read the shared database.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_log = logging.getLogger(__name__)

Reading = float | Mapping[str, float]

_BUCKETS_S = (0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 60.0)


class Metrics:
    """Counters of this process and registered gauges."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "racoon_http_requests_total",
            "Requests answered",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "racoon_http_request_seconds",
            "Time to answer",
            ["route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self._gauges: dict[str, tuple[str, str, Callable[[], Reading]]] = {}
        self.registry.register(self)

    def gauge(self, name: str, description: str, read: Callable[[], Reading], label: str = "state") -> None:
        """Register a gauge that is read when metrics are asked for.

        Parameters
        ----------
        name
            Metric name, for example ``racoon_jobs``.
        description
            Help text.
        read
            Returns the value now, or one value per label value; it may query the database.
        label
            Name of the label when ``read`` returns a mapping.
        """
        self._gauges[name] = (description, label, read)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read all registered gauges; one that fails is left out and logged, the others are reported."""
        for name, (description, label, read) in list(self._gauges.items()):
            try:
                reading = read()
            except Exception as error:  # noqa: BLE001 -- a broken gauge must not hide the others
                _log.warning("a gauge could not be read", exc_info=error)
                continue
            if isinstance(reading, Mapping):
                family = GaugeMetricFamily(name, description, labels=[label])
                for key, value in reading.items():
                    family.add_metric([str(key)], float(value))
            else:
                family = GaugeMetricFamily(name, description, value=float(reading))
            yield family

    def describe(self) -> list[GaugeMetricFamily]:
        """Tell the registry that names are known only when gauges are read."""
        return []

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; the route is its template, so that labels stay few."""
        known = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "OTHER"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> tuple[bytes, str]:
        """Return the exposition text and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
