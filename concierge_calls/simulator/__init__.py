"""A Vapi that lives on a loopback port; it shares no code with the client it stands in for."""

from concierge_calls.simulator.endings import ENDINGS
from concierge_calls.simulator.options import SimulatorOptions
from concierge_calls.simulator.server import Simulator, app, run

__all__ = ["ENDINGS", "Simulator", "SimulatorOptions", "app", "run"]
