"""A Celery worker with two processes, over a broker of files, and its client."""

import signal
import subprocess
import sys
from pathlib import Path

from celery import Celery

for name in ("queue", "results"):
    Path(name).mkdir(exist_ok=True)
app = Celery("queued", broker="filesystem://", backend="file://results")
app.conf.broker_transport_options = dict.fromkeys(("data_folder_in", "data_folder_out"), "queue")
app.conf.worker_redirect_stdouts = False


@app.task
def square(number):
    return number * number


if __name__ == "__main__":
    words = [sys.executable, "-m", "celery", "-A", "queued", "worker", "-c", "2", "--without-gossip", "--without-mingle"]
    worker = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    app = sys.modules["__main__"].app
    results = [app.send_task("queued.square", (number,)) for number in range(20)]
    print([result.get(timeout=120) for result in results])
    worker.send_signal(signal.SIGTERM)
    sys.exit(worker.wait())
