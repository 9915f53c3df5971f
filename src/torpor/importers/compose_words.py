"""Why settings of a Compose service cannot be carried over to a process, and what to do instead."""

from __future__ import annotations

_CONTAINER = "a process has no container of its own"
_NETWORK = "processes of one machine share its network; they find each other at 127.0.0.1"
_STORAGE = "a process sees the machine's own files; give it their real paths"
_LOG = "Torpor writes an app's output to a log of its own, and passes it on to journald or syslog at most (`log`)"
_SWARM = "Torpor runs on one machine"
_CGROUP = "Torpor limits memory_max, cpus and pids_max only"

SERVICE_WORDS = {
    "image": "there are no containers in Torpor yet; install the program, and write how to start it as `command`",
    "build": "there are no containers in Torpor yet; install on the machine what the Dockerfile installs",
    **dict.fromkeys(
        ("container_name", "hostname", "domainname", "platform", "pull_policy", "runtime", "isolation", "ipc", "pid", "uts",
         "userns_mode", "cgroup", "cgroup_parent", "privileged", "devices", "device_cgroup_rules", "gpus", "init", "labels",
         "label_file", "annotations", "attach", "credential_spec", "storage_opt", "sysctls", "provider", "models",
         "use_api_socket", "post_start", "pre_stop", "develop"), _CONTAINER),
    **dict.fromkeys(("networks", "network_mode", "links", "external_links", "extra_hosts", "dns", "dns_opt", "dns_search",
                     "mac_address", "expose"), _NETWORK),
    **dict.fromkeys(("volumes", "volumes_from", "tmpfs", "shm_size"), _STORAGE),
    **dict.fromkeys(("configs", "secrets"), "put it into a file, and give the app its path"),
    **dict.fromkeys(("logging.driver", "logging.options", "logging"), _LOG),
    **dict.fromkeys(("mem_reservation", "mem_swappiness", "memswap_limit", "oom_kill_disable", "cpu_shares", "cpu_quota",
                     "cpu_period", "cpu_rt_runtime", "cpu_rt_period", "cpu_count", "cpu_percent", "cpuset", "blkio_config",
                     "deploy.resources.reservations", "deploy.resources.limits.devices"), _CGROUP),
    **dict.fromkeys(("deploy.mode", "deploy.placement", "deploy.endpoint_mode", "deploy.labels", "deploy.update_config",
                     "deploy.rollback_config", "deploy.job", "deploy.replicas_max_per_node"), _SWARM),
    "cap_add": "Torpor gives no capabilities; setcap on the program does, or a port above 1023 needs none",
    "security_opt": "Torpor's sandbox has read_only, private_tmp, no_new_privileges and capabilities only",
    "stdin_open": "an app reads from a file (`stdin`), a terminal (`tty`), or nothing",
    **dict.fromkeys(("healthcheck.interval", "healthcheck.start_interval"),
                    "Torpor asks at once, again after 2 ms, and every 100 ms later, until the app is ready"),
    "healthcheck.timeout": "a readiness command has 5 s; `liveness` has a timeout to set",
    "healthcheck.retries": "Compose restarts nothing that is unhealthy; `liveness: {exec: …, failures: N}` would",
    "working_dir": "is a path inside of the container; write the real one",
    "pre_stop": "is run inside of the container; Torpor's pre_stop may serve",
    "post_start": "is run inside of the container; Torpor's post_start may serve",
}  # fmt: skip

TOP_WORDS = {
    "networks": _NETWORK,
    "volumes": _STORAGE,
    "secrets": "put them into files",
    "configs": "put them into files",
    "version": "Compose itself takes no notice of it",
    "name": "Torpor has one set of apps, without a name",
    "include": "import these files too",
    "models": "Torpor runs no models by itself",
}
