"""The process provider keeps the contract of providers."""

from __future__ import annotations

from contract.descent_contract import DescentContract
from contract.hearing_contract import HearingContract
from contract.provider_contract import ProviderContract
from contract.telling_contract import TellingContract


class TestProcessProvider(ProviderContract, TellingContract, HearingContract, DescentContract):
    """Real programs."""
