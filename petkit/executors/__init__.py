"""Where units run. An executor takes units and yields a result for each; the run folder holds the truth.

An executor that uses other processes hands each of them a unit, the run folder's path and a key: ``units.perform`` needs no more,
and all of it is JSON and paths.
"""

from petkit.executors.choosing import executor_for
from petkit.executors.events import Event, OnEvent, silent
from petkit.executors.in_process import InProcess, run_all
from petkit.executors.protocol import Executor, UnitResult, check_order
from petkit.executors.spawned import Spawned

__all__ = ["Event", "Executor", "InProcess", "OnEvent", "Spawned", "UnitResult", "check_order", "executor_for", "run_all", "silent"]
