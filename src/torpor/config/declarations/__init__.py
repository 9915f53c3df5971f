"""Every key of a configuration, declared once.

From these classes come validation, the JSON Schema for editors and the reference
page.  A default that the core decides by is taken from there, never repeated.
What one key alone can tell is declared here; what needs another key or the world
outside (a file, a directory) is checked where the value is built.

The keys of an app are declared in seven steps, each upon the one before: what it is
(`program`, or `guests` where others made it), as whom (`privileges`), how it wakes (`requests`), what keeps it awake
(`wakefulness`), how it is kept running (`supervision`), what it takes of what all share (`sharing`).
msgspec cannot join several bases, hence the chain.
"""

from torpor.config.declarations.file import SYNONYMS, App, File
from torpor.config.declarations.gateway import Gateway, GatewayLimits, Listener, Tls
from torpor.config.declarations.guests import (
    ClientCertificates,
    Commands,
    Container,
    Engine,
    Guests,
    Machine,
    Proxmox,
    Unit,
)
from torpor.config.declarations.privileges import Capabilities, Privileges, Rlimits
from torpor.config.declarations.program import HookCommand, Log, Program
from torpor.config.declarations.requests import Requests, Route, Sleep, WaitingPage, Websocket
from torpor.config.declarations.rules import Answer, Rule
from torpor.config.declarations.sharing import Budget, Memory, Shared
from torpor.config.declarations.supervision import (
    GiveUp,
    Liveness,
    Needed,
    Readiness,
    RestartPause,
    Supervision,
)
from torpor.config.declarations.wakefulness import KeepAwakeIf, Schedule, Wakefulness

__all__ = [
    "SYNONYMS",
    "Answer",
    "App",
    "Budget",
    "Capabilities",
    "ClientCertificates",
    "Commands",
    "Container",
    "Engine",
    "File",
    "Gateway",
    "GatewayLimits",
    "GiveUp",
    "Guests",
    "HookCommand",
    "KeepAwakeIf",
    "Listener",
    "Liveness",
    "Log",
    "Machine",
    "Memory",
    "Needed",
    "Privileges",
    "Program",
    "Proxmox",
    "Readiness",
    "Requests",
    "RestartPause",
    "Rlimits",
    "Route",
    "Rule",
    "Schedule",
    "Shared",
    "Sleep",
    "Supervision",
    "Tls",
    "Unit",
    "WaitingPage",
    "Wakefulness",
    "Websocket",
]
