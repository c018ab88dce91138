"""unit/ mirrors tracekit/ · truth/ programs with known answers · real/ real processes and tools · golden/ · bench/."""
