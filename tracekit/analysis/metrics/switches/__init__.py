"""What the scheduler did with the threads: context switches, run-queue wait, CPU migrations, steal."""
