"""Why settings of a unit cannot be carried over, and what to do instead."""

from __future__ import annotations

from torpor.importers.unit_log import LOG_WORDS

_BOOT = "Torpor's own unit says when Torpor is started; put it there"
_ORDER = "order only; an app that needs another one says so with depends_on"
_SANDBOX = "Torpor's sandbox has read_only, private_tmp, no_new_privileges and capabilities only"
_CGROUP = "Torpor limits memory_max, cpus and pids_max only"
_DIRECTORY = "Torpor makes no directories; make it yourself, or in pre_start"
_JOB = "Torpor knows no such relation; see depends_on and member_of"
_CONDITION = "Torpor starts an app whatever the machine is like; test it in pre_start"
_CREDENTIAL = "Torpor passes no credentials; use env_file with the rights that it needs"
_SCHEDULING = "Torpor sets `nice` only; put chrt or ionice before the command"
_KILL = "Torpor asks by stop_signal, and ends the whole tree with KILL after stop_timeout"
_SOCKET = "Torpor hands no listening socket to an app; its gateway listens, and wakes the app by `routes`"

UNIT_WORDS = {
    **dict.fromkeys(("DefaultDependencies", "RequiresMountsFor", "WantsMountsFor", "Slice", "Also", "DefaultInstance"), _BOOT),
    **dict.fromkeys(("Before",), _ORDER),
    **dict.fromkeys(
        ("Conflicts", "PartOf", "Upholds", "PropagatesReloadTo", "ReloadPropagatedFrom", "PropagatesStopTo", "StopPropagatedFrom",
         "JoinsNamespaceOf", "StopWhenUnneeded", "RefuseManualStart", "RefuseManualStop", "AllowIsolate", "OnFailure",
         "OnSuccess", "OnFailureJobMode", "IgnoreOnIsolate", "CollectMode", "JobTimeoutSec", "JobRunningTimeoutSec",
         "JobTimeoutAction", "RequiredBy", "UpheldBy"), _JOB),
    "OnFailure": "Torpor starts no other app when one fails; `torpor events -f --json` tells of it",
    "SourcePath": "only a note of who wrote the file",
    **dict.fromkeys(("StartLimitAction", "FailureAction", "SuccessAction", "RebootArgument", "FailureActionExitStatus"),
                    "Torpor reboots by on_start_timeout and on_watchdog only, where allow_reboot is true"),
    **LOG_WORDS,
    **dict.fromkeys(("RuntimeDirectory", "StateDirectory", "CacheDirectory", "LogsDirectory", "ConfigurationDirectory",
                     "RuntimeDirectoryMode", "StateDirectoryMode", "CacheDirectoryMode", "LogsDirectoryMode",
                     "ConfigurationDirectoryMode", "RuntimeDirectoryPreserve"), _DIRECTORY),
    **dict.fromkeys(
        ("ProtectSystem", "ProtectHome", "PrivateDevices", "PrivateNetwork", "PrivateUsers", "PrivateMounts", "PrivateIPC",
         "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock",
         "ProtectHostname", "ProtectProc", "ProcSubset", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime",
         "RestrictSUIDSGID", "RestrictFileSystems", "LockPersonality", "MemoryDenyWriteExecute", "SystemCallFilter",
         "SystemCallArchitectures", "SystemCallErrorNumber", "SystemCallLog", "ReadWritePaths", "ReadOnlyPaths",
         "InaccessiblePaths", "ReadWriteDirectories", "ReadOnlyDirectories", "InaccessibleDirectories", "ExecPaths", "NoExecPaths",
         "TemporaryFileSystem", "BindPaths", "BindReadOnlyPaths", "MountFlags", "RootDirectory", "RootImage", "RemoveIPC",
         "KeyringMode", "SecureBits", "MountAPIVFS", "NetworkNamespacePath", "ProtectControlGroupsEx", "SELinuxContext",
         "AppArmorProfile", "SmackProcessLabel", "Personality"), _SANDBOX),
    "AmbientCapabilities": "Torpor gives no capabilities; setcap on the program does, or a port above 1023 needs none",
    "DynamicUser": "Torpor makes no users; make one and name it with `user`",
    "PAMName": "Torpor opens no PAM session",
    **dict.fromkeys(
        ("MemoryHigh", "MemoryMin", "MemoryLow", "MemorySwapMax", "MemoryZSwapMax", "CPUWeight", "CPUShares", "StartupCPUWeight",
         "CPUQuotaPeriodSec", "AllowedCPUs", "AllowedMemoryNodes", "CPUAffinity", "NUMAPolicy", "NUMAMask", "IOWeight",
         "BlockIOWeight", "IODeviceWeight", "IOReadBandwidthMax", "IOWriteBandwidthMax", "IOReadIOPSMax", "IOWriteIOPSMax",
         "IODeviceLatencyTargetSec", "IPAddressAllow", "IPAddressDeny", "DeviceAllow", "DevicePolicy", "CPUAccounting",
         "MemoryAccounting", "TasksAccounting", "IOAccounting", "BlockIOAccounting", "IPAccounting", "ManagedOOMSwap",
         "ManagedOOMMemoryPressure", "SocketBindAllow", "SocketBindDeny", "DisableControllers"), _CGROUP),
    "Delegate": "an app's cgroup is Torpor's",
    "OOMPolicy": "Torpor restarts an app whose main process was ended for want of memory; its other processes are the app's affair",
    **dict.fromkeys(("CPUSchedulingPolicy", "CPUSchedulingPriority", "CPUSchedulingResetOnFork", "IOSchedulingClass",
                     "IOSchedulingPriority", "TimerSlackNSec", "CoredumpFilter"), _SCHEDULING),
    **dict.fromkeys(("LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted",
                     "ImportCredential"), _CREDENTIAL),
    **dict.fromkeys(("SendSIGKILL", "SendSIGHUP", "FinalKillSignal", "RestartKillSignal", "WatchdogSignal", "TimeoutAbortSec",
                     "TimeoutStopFailureMode", "TimeoutStartFailureMode"), _KILL),
    "RuntimeMaxSec": "Torpor lets an app run as long as it will; let cron call `torpor restart`",
    "RuntimeRandomizedExtraSec": "see RuntimeMaxSec",
    "RestartForceExitStatus": "`restart` and exit_codes say what is started again",
    "RestartMode": "dependents of an app that is restarted are left alone",
    "ExecCondition": "write it into pre_start; there it fails the start instead of skipping it",
    **dict.fromkeys(("Sockets", "FileDescriptorStoreMax", "FileDescriptorStorePreserve", "OpenFile"), _SOCKET),
    "NonBlocking": _SOCKET,
    "FileDescriptorStoreMax": "Torpor keeps up to 64 descriptors of each app that sends FDSTORE=1",
    "PIDFile": "Torpor follows the process that it started; let the program stay in the foreground",
    "RemainAfterExit": "an app that has ended is `done`; with depends_on: completed_successfully others wait for that",
    "GuessMainPID": "Torpor follows the process that it started",
    "BusName": "Torpor knows nothing of D-Bus; with READY=1 by sd_notify, write readiness: {notify: true}",
    "NotifyAccess": "Torpor hears every process of the app",
    "UnsetEnvironment": "Torpor hands only a search path and a language on; clean_env: true takes these away too",
    "ExecSearchPath": "set PATH in `environment`, or write the program's whole path",
    "IgnoreSIGPIPE": "an app of Torpor is ended by SIGPIPE unless it ignores that itself",
    "TTYPath": "`tty: true` gives the app a terminal of its own",
    **dict.fromkeys(("TTYReset", "TTYVHangup", "TTYVTDisallocate", "UtmpIdentifier", "UtmpMode"),
                    "`tty: true` gives the app a terminal of its own"),
    "StandardInputText": "put it into a file, and name that with `stdin`",
    "StandardInputData": "put it into a file, and name that with `stdin`",
    "SuccessAction": "Torpor ends with `torpor up --exit-with APP`",
    "SurviveFinalKillSignal": _KILL,
}  # fmt: skip


def unit_words(name: str) -> str | None:
    """Why a setting cannot be carried over; None: nobody has thought of it."""
    if name.startswith(("Condition", "Assert")):
        return _CONDITION
    if name.startswith("X-"):
        return "systemd itself ignores it"
    return UNIT_WORDS.get(name)
