"""Starts, stops, restarts and looks at services of the device.

Parameters: `service`, a name in the list of those that are allowed, and `operation`: start, stop,
restart or status. No shell is involved: the verb and the name are arguments of their own. Needs
nothing but Python and the program that manages services.
"""

import json
import subprocess
import sys
from datetime import datetime, timezone

OPERATIONS = {"start": "start", "stop": "stop", "restart": "restart", "status": "is-active"}
MAX_OUTPUT = 4096


def now():
    return datetime.now(timezone.utc).isoformat()


class Refused(Exception):
    """What was asked for is not done."""


class Plugin:
    def __init__(self):
        self.status = "stopped"
        self.allowed = []
        self.command = ["systemctl"]

    def get_info(self, _request):
        return {"id": "service", "name": "Service", "version": "1.0.0", "type": "action"}

    def initialize(self, request):
        config = request.get("config", {})
        self.allowed = config.get("allowed", [])
        self.command = config.get("command", ["systemctl"])
        self.status = "initialized"

    def start(self, _request):
        self.status = "running"

    def stop(self, _request):
        self.status = "stopped"

    def get_status(self, _request):
        return self.status

    def get_health(self, _request):
        if self.allowed:
            return {"status": "healthy", "message": "", "metrics": {}}
        return {"status": "degraded", "message": "no service is allowed", "metrics": {}}

    def get_action_config(self, _request):
        schema = {"service": {"enum": self.allowed}, "operation": {"enum": sorted(OPERATIONS)}}
        return {"schema": schema, "required": ["service", "operation"], "examples": []}

    def execute_action(self, request):
        asked = request.get("action_request", {})
        result = {"id": asked.get("id"), "status": "failed", "started_at": now()}
        try:
            result["data"] = self.carry_out(asked)
            result["status"] = "completed"
        except Refused as refusal:
            result["error"] = str(refusal)
        except subprocess.TimeoutExpired:
            result["error"] = "%s took too long" % self.command[0]
        except OSError as error:
            result["error"] = "%s: %s" % (self.command[0], error.strerror)
        result["completed_at"] = now()
        return result

    def carry_out(self, asked):
        parameters = asked.get("parameters", {})
        service = parameters.get("service")
        operation = parameters.get("operation")
        if operation not in OPERATIONS:
            raise Refused("operation must be one of " + ", ".join(sorted(OPERATIONS)))
        if service not in self.allowed:
            raise Refused("%r is not among the allowed services" % (service,))
        command = self.command + [OPERATIONS[operation], service]
        print(" ".join(command), file=sys.stderr)
        timeout = asked.get("timeout") or 60
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=timeout,
        )
        output = done.stdout[-MAX_OUTPUT:].decode("utf-8", "replace").strip()
        if operation == "status":
            return {"service": service, "active": done.returncode == 0, "output": output}
        if done.returncode != 0:
            raise Refused("%s ended with code %d: %s" % (command[0], done.returncode, output))
        return {"service": service, "operation": operation, "output": output}


# A plugin is one folder, copied whole: what follows is the same in each, but for the actions.
ACTIONS = (
    "get_info", "initialize", "start", "stop", "get_status", "get_health", "get_action_config",
    "execute_action",
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
