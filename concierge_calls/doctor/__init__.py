"""Checks all that a run needs before strangers' phones ring: the settings, Vapi, the journal."""

from concierge_calls.doctor.check import Check, State
from concierge_calls.doctor.looking import examine

__all__ = ["Check", "State", "examine"]
