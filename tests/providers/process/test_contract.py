"""The process provider keeps the contract of providers."""

from __future__ import annotations

from contract.provider_contract import ProviderContract


class TestProcessProvider(ProviderContract):
    """Real programs."""
