"""A wall for tests of the relay: relay_wall.py OPTIONS SERVER…, OPTIONS as JSON.

    patience: {field: seconds}      default: seconds where users have 5
    log: DIRECTORY                  of the audit log
    level: LEVEL                    of what goes to stderr
    required: true                  audit_required
    fault: PEER                     the session fails when this peer speaks
    slow: SECONDS                   the session takes so long to judge a line with "a long time"; when it does, there is the file PIDS.slow
    nohup, childless: true          SIGINT and SIGHUP, or SIGCHLD, were ignored when we were started
"""
import json
import os
import signal
import sys
import time

import mcpwall

# The relay is what is tried: a built-in policy would take longer to make ready than all else.
POLICY = """
version: 1
rules:
  - {name: block-ssh-keys, match: {arguments: {path: {regex: ssh}}}, action: deny, message: "Blocked: access to SSH keys"}
"""
options = json.loads(sys.argv[1])
for number in (signal.SIGINT, signal.SIGHUP) if hasattr(signal, "SIGHUP") else ():
    if signal.getsignal(number) == signal.SIG_IGN and not options.get("nohup"):
        signal.signal(number, signal.SIG_DFL)       # the tests may run in the background
    elif options.get("nohup"):
        signal.signal(number, signal.SIG_IGN)

if options.get("childless"):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)

here = mcpwall.PathContext("/home/user", "/home/user", None, False, False, lambda path: path)
policy = mcpwall.compile_policy([mcpwall.parse_policy(POLICY, "policy.yml")], here, "relay")
session = mcpwall.Session(mcpwall.Wall(policy))
session.audit_required = options.get("required", False)
if "fault" in options:
    judge = session.receive

    def receive(peer, data):
        if peer == options["fault"]:
            raise KeyError("a secret text")
        return judge(peer, data)
    session.receive = receive
if "slow" in options:
    quick = session.receive

    def slowly(peer, data):
        end = time.monotonic() + options["slow"] * (b"a long time" in data)
        if time.monotonic() < end:
            open(os.environ["PIDS"] + ".slow", "w").close()
        while time.monotonic() < end:       # busy, as a judgement is
            pass
        return quick(peer, data)
    session.receive = slowly
reporter = mcpwall.Reporter(sys.stderr, options.get("level", "warn"))
audit = mcpwall.AuditLog(options["log"]) if "log" in options else None
try:
    status = mcpwall.relay(session, sys.argv[2:], audit, reporter,
                           patience=mcpwall.Patience(**{"poll": 0.1, **options.get("patience", {})}))
except mcpwall.CommandError as fault:
    os.write(2, f"{fault}\n".encode())
    status = fault.status
os._exit(status)
