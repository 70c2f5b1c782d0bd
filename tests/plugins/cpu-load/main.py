"""Reports a CPU that is busy, and its end.

One event when the share of busy time was at the threshold or above it for some looks in a row, and
one when it was below for as many. Between the two it is silent. Needs nothing but Python.
"""

import json
import sys
from datetime import datetime, timezone

PROC_STAT = "/proc/stat"


def read_times():
    """Busy and all time since boot, in ticks (proc(5))."""
    with open(PROC_STAT) as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, sum(fields)


class Watch:
    def __init__(self, threshold, looks):
        self.threshold = threshold
        self.looks = looks
        self.before = read_times()
        self.is_busy = False
        self.in_a_row = 0

    def look(self):
        """An event, or None."""
        busy, total = read_times()
        busy_before, total_before = self.before
        self.before = busy, total
        if total <= total_before:
            return None
        percent = 100.0 * (busy - busy_before) / (total - total_before)
        if (percent >= self.threshold) == self.is_busy:
            self.in_a_row = 0
            return None
        self.in_a_row += 1
        if self.in_a_row < self.looks:
            return None
        self.in_a_row = 0
        self.is_busy = not self.is_busy
        return {
            "type": "cpu.busy" if self.is_busy else "cpu.calm",
            "source": "cpu-load",
            "timestamp": datetime.now(timezone.utc).isoformat(),
            "severity": "high" if self.is_busy else "low",
            "data": {"percent": round(percent, 1), "threshold": self.threshold},
            "tags": ["cpu"],
        }


class Plugin:
    def __init__(self):
        self.status = "stopped"
        self.config = {}
        self.watch = None

    def get_info(self, _request):
        return {"id": "cpu-load", "name": "CPU load", "version": "1.0.0", "type": "trigger"}

    def initialize(self, request):
        config = request.get("config", {})
        self.watch = Watch(config.get("threshold", 90), config.get("looks", 3))
        self.status = "initialized"

    def start(self, _request):
        self.status = "running"

    def stop(self, _request):
        self.status = "stopped"

    def get_status(self, _request):
        return self.status

    def get_health(self, _request):
        try:
            read_times()
        except OSError as error:
            return {"status": "unhealthy", "message": str(error), "metrics": {}}
        return {"status": "healthy", "message": "", "metrics": {}}

    def get_trigger_config(self, _request):
        number = {"type": "number", "minimum": 1, "maximum": 100}
        return {"schema": {"threshold": number}, "required": [], "examples": [{"threshold": 90}]}

    def detect_triggers(self, _request):
        return self.watch.look()


# A plugin is one folder, copied whole: what follows is the same in each, but for the actions.
ACTIONS = (
    "get_info", "initialize", "start", "stop", "get_status", "get_health", "get_trigger_config",
    "detect_triggers",
)


def answer(plugin, line):
    try:
        request = json.loads(line)
    except ValueError:
        return {"success": False, "error": "Invalid JSON command"}
    action = request.get("action") if isinstance(request, dict) else None
    if action not in ACTIONS:
        return {"action": action, "success": False, "error": "unknown action"}
    try:
        data = getattr(plugin, action)(request)
    except Exception as error:  # Whatever it is, whoever asked is to hear of it.
        print("%s: %r" % (action, error), file=sys.stderr)
        return {"action": action, "success": False, "error": str(error)}
    return {"action": action, "success": True, "data": data}


def main():
    plugin = Plugin()
    for line in sys.stdin:
        if not line.strip():
            break
        print(json.dumps(answer(plugin, line)), flush=True)


if __name__ == "__main__":
    main()
