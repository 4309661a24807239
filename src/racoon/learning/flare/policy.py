"""What FLARE may do at each participant, as the files it reads.  Deny by default; each entry has its reason.

FLARE's defaults let a project administrator do anything at a site, remote shell commands and code from
outside included.  Ours let the job signer do what a run needs, and nobody anything else.
"""

from __future__ import annotations

from typing import Any

from racoon.learning.engine import EngineAddress
from racoon.learning.flare.certificates import PROJECT

SIGNER = "racoon-central@engine.internal"
"""Name of CENTRAL's job signer; FLARE insists on the form of an e-mail address."""

SIGNER_ROLE = "project_admin"

SCHEME = "http"
"""FLARE's WebSocket driver; with ``mtls`` below it is TLS with certificates on both sides."""

EXECUTOR_CLASS = "racoon.learning.flare.site_side.TrainingExecutor"
GATE_CLASS = "racoon.learning.flare.site_side.SiteGate"
VALIDATOR_CLASS = "racoon.learning.flare.site_side.AppGate"
KEEPER_CLASS = "racoon.learning.flare.server_side.RoundKeeper"
AGGREGATOR_CLASS = "racoon.learning.flare.server_side.ExactAggregator"
CONTROLLER_CLASS = "nvflare.app_common.workflows.scatter_and_gather.ScatterAndGather"
RELAY_CLASS = "racoon.learning.flare.relay.RelayRounds"
GENERATOR_CLASS = "racoon.learning.flare.server_side.RoundGenerator"

SITE_CLASSES = [EXECUTOR_CLASS]
"""The one class a job may instantiate at a site.  FLARE's own external-process executors stay out: their
``command`` argument would let a job run any program of the machine."""

SERVER_CLASSES = [CONTROLLER_CLASS, RELAY_CLASS, GENERATOR_CLASS, KEEPER_CLASS, AGGREGATOR_CLASS]

SITE_HEARTBEAT_S = 3.0
SERVER_HEARTBEAT_TIMEOUT_S = 20.0
"""A dead site is taken off the list after this; FLARE's default is ten minutes."""

_NOTHING = {
    "submit_job": "none",
    "clone_job": "none",
    "manage_job": "none",
    "download_job": "none",
    "view": "none",
    "operate": "none",
    "shell_commands": "none",
    "byoc": "none",
    "server-predeployed-flwr": "none",
}


def authorization() -> dict[str, Any]:
    """Return ``authorization.json``, the same at server and sites: jobs yes, code and shell never."""
    return {
        "format_version": "1.0",
        "permissions": {
            SIGNER_ROLE: _NOTHING | {"submit_job": "any", "manage_job": "n:submitter", "view": "any"},
            "org_admin": _NOTHING,
            "lead": _NOTHING,
            "member": _NOTHING,
        },
    }


def site_startup(site: str, address: EngineAddress) -> dict[str, Any]:
    """Return ``fed_client.json``."""
    return {
        "format_version": 2,
        "require_signed_jobs": True,
        "servers": [
            {
                "name": PROJECT,
                "service": {"target": f"{address.host}:{address.port}", "scheme": SCHEME},
                "identity": address.identity,
            }
        ],
        "client": {
            "ssl_private_key": "client.key",
            "ssl_cert": "client.crt",
            "ssl_root_cert": "rootCA.pem",
            "fqsn": site,
            "is_leaf": True,
            "connection_security": "mtls",
        },
    }


def site_resources(approvals: str, site: str) -> dict[str, Any]:
    """Return a site's ``resources.json``: our gates, one allowed class, no log streaming to CENTRAL.

    Parameters
    ----------
    approvals
        Folder of this site's approvals.
    site
        Site code, for the gate's records.
    """
    return {
        "format_version": 2,
        "class_list_enforcement_mode": "enforce",
        "class_allow_list": SITE_CLASSES,
        "allow_log_streaming": False,
        "client": {"retry_timeout": 30, "compression": "Gzip"},
        "app_validator": {"path": VALIDATOR_CLASS, "args": {"approvals": approvals}},
        "components": [
            {
                "id": "resource_manager",
                "path": "nvflare.app_common.resource_managers.gpu_resource_manager.GPUResourceManager",
                "args": {"num_of_gpus": 0, "mem_per_gpu_in_GiB": 0, "expiration_period": 60},
            },
            {
                "id": "resource_consumer",
                "path": "nvflare.app_common.resource_consumers.gpu_resource_consumer.GPUResourceConsumer",
                "args": {},
            },
            {
                "id": "process_launcher",
                "path": "nvflare.app_common.job_launcher.client_process_launcher.ClientProcessJobLauncher",
                "args": {},
            },
            {"id": "gate", "path": GATE_CLASS, "args": {"approvals": approvals, "site": site}},
        ],
    }


def server_startup(address: EngineAddress) -> dict[str, Any]:
    """Return ``fed_server.json``."""
    return {
        "format_version": 2,
        "require_signed_jobs": True,
        "servers": [
            {
                "name": PROJECT,
                "service": {"target": f"{address.host}:{address.port}", "scheme": SCHEME},
                "admin_server": address.host,
                "admin_port": address.port,
                "ssl_private_key": "server.key",
                "ssl_cert": "server.crt",
                "ssl_root_cert": "rootCA.pem",
                "connection_security": "mtls",
            }
        ],
    }


def server_resources(storage: str) -> dict[str, Any]:
    """Return the server's ``resources.json``.

    Parameters
    ----------
    storage
        Folder for jobs and snapshots; FLARE's default is shared by every server of the machine.
    """
    return {
        "format_version": 2,
        "class_list_enforcement_mode": "enforce",
        "class_allow_list": SERVER_CLASSES,
        "servers": [
            {
                "admin_storage": "transfer",
                "max_num_clients": 100,
                "heart_beat_timeout": SERVER_HEARTBEAT_TIMEOUT_S,
                "download_job_url": "http://localhost/",
                "admin_timeout": 10.0,
            }
        ],
        "snapshot_persistor": {
            "path": "nvflare.app_common.state_persistors.storage_state_persistor.StorageStatePersistor",
            "args": {
                "uri_root": "/",
                "storage": {
                    "path": "nvflare.app_common.storages.filesystem_storage.FilesystemStorage",
                    "args": {"root_dir": f"{storage}/snapshots", "uri_root": "/"},
                },
            },
        },
        "components": [
            {
                "id": "job_scheduler",
                "path": "nvflare.app_common.job_schedulers.job_scheduler.DefaultJobScheduler",
                # A refused or unready job is tried a few times in seconds, not ten times in two hours.
                "args": {
                    "max_jobs": 4,
                    "max_schedule_count": 4,
                    "min_schedule_interval": 2.0,
                    "max_schedule_interval": 8.0,
                },
            },
            {
                "id": "job_manager",
                "path": "nvflare.apis.impl.job_def_manager.SimpleJobDefManager",
                "args": {"uri_root": f"{storage}/jobs", "job_store_id": "job_store"},
            },
            {"id": "job_store", "path": "nvflare.app_common.storages.filesystem_storage.FilesystemStorage"},
            {
                "id": "process_launcher",
                "path": "nvflare.app_common.job_launcher.server_process_launcher.ServerProcessJobLauncher",
                "args": {},
            },
        ],
    }


def signer_startup(address: EngineAddress, transfer: str) -> dict[str, Any]:
    """Return ``fed_admin.json`` of CENTRAL's job signer.

    Parameters
    ----------
    address
        The server.
    transfer
        Existing folder for up- and downloads; relative ones land in the working directory.
    """
    return {
        "format_version": 1,
        "admin": {
            "project_name": PROJECT,
            "username": SIGNER,
            "server_identity": address.identity,
            "scheme": SCHEME,
            "host": address.host,
            "port": address.port,
            "connection_security": "mtls",
            "uid_source": "user_input",
            "with_file_transfer": True,
            "upload_dir": transfer,
            "download_dir": transfer,
            "client_key": "client.key",
            "client_cert": "client.crt",
            "ca_cert": "rootCA.pem",
        },
    }


def signer_resources() -> dict[str, Any]:
    """Return the signer's ``resources.json``."""
    return {
        "format_version": 1,
        "admin": {
            "idle_timeout": 900.0,
            "login_timeout": 10.0,
            "with_debug": False,
            "authenticate_msg_timeout": 5.0,
            "prompt": "> ",
        },
    }


def log_configuration() -> dict[str, Any]:
    """Return ``log_config.json``: one rotating file instead of FLARE's five and a console."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "baseFormatter": {
                "()": "nvflare.fuel.utils.log_utils.BaseFormatter",
                "fmt": "%(asctime)s - %(name)s - %(levelname)s - %(fl_ctx)s - %(message)s",
            }
        },
        "handlers": {
            "logFileHandler": {
                "class": "logging.handlers.RotatingFileHandler",
                "level": "INFO",
                "formatter": "baseFormatter",
                "filename": "log.txt",
                "mode": "a",
                "maxBytes": 5_000_000,
                "backupCount": 2,
            }
        },
        "loggers": {"root": {"level": "INFO", "handlers": ["logFileHandler"]}},
    }
