"""One machine, every part: what `parley up` starts, watches, restarts and stops.

policy.py       pure: when to restart, when to give up; the states of a part
parts.py        what a part is; the list of them, made from the settings in one place
supervisor.py   runs the parts: start, watch, restart, stop in order
process.py      one child process: its leash (it dies with us), its log, its stop
health.py       PostgreSQL accepts, Redis answers, a service says that it is ready
postgres.py     PostgreSQL from its wheel
redis_server.py Redis from its wheel
nginx.py        nginx before several gateways, where it is installed
folder.py       the data folder: lock, secret, logs, sockets, what a killed run left behind
sockets.py      the listening sockets, and who holds a port that is taken
server.py       a whole server for the length of a `with` block, for tests and the demo
"""
