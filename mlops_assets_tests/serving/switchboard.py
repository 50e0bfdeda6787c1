"""An orchestrator in memory: it has the sensors of its lines, and notes what it is asked to launch."""

from mlops_assets.core.errors import NotFound, Unavailable
from mlops_assets.core.ports.execution import Sensor

NAMES = ("failure", "improve", "inbox", "trigger", "watch")


class Switchboard:
    """Fills `Orchestrator`; `away` makes it as if Dagster were not there."""

    def __init__(self, *lines: str) -> None:
        self.running = dict.fromkeys(lines, True)
        self.launched: list[tuple[str, str, str]] = []
        self.away = False

    def sensors(self, line: str) -> tuple[Sensor, ...]:
        self._present()
        if line not in self.running:
            raise NotFound(f"Dagster has no line '{line}'.")
        return tuple(Sensor(name=f"{line}_{name}", running=self.running[line]) for name in NAMES)

    def switch(self, line: str, *, on: bool) -> tuple[Sensor, ...]:
        self.sensors(line)
        self.running[line] = on
        return self.sensors(line)

    def launch(self, line: str, batch_id: str, *, stage: str) -> str:
        self._present()
        self.launched.append((line, batch_id, stage))
        return f"run-{len(self.launched)}"

    def asleep(self) -> tuple[str, ...]:
        self._present()
        return ()

    def _present(self) -> None:
        if self.away:
            raise Unavailable("Dagster gave no answer.", "Start it with `mlops up`.")
