"""Python runs this at its start: the clock of a process with CHAOS_CLOCK_AHEAD_SECONDS goes so many seconds ahead.

That is what Python asks for the time, `time.time()` and `datetime.now()` with all that is made of them. Its monotonic
clock goes on, and PostgreSQL and libraries that ask the kernel themselves (the time in a new id is one) know better.
"""

import os
import time

import time_machine

if seconds := float(os.environ.get("CHAOS_CLOCK_AHEAD_SECONDS") or 0):
    time_machine.travel(time.time() + seconds, tick=True).start()
