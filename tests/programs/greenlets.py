from gevent import monkey

monkey.patch_all()
import subprocess
import threading
import time

import gevent
from gevent.pool import Pool


def work(number):
    time.sleep(0.01)
    return number * number


print(list(Pool(10).imap(work, range(50))))
lock, found = threading.Lock(), []


def append():
    with lock:
        found.append(1)
        time.sleep(0.01)


threads = [threading.Thread(target=append) for _ in range(10)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found), subprocess.run(["echo", "child"], capture_output=True, check=True).stdout)
print(gevent.get_hub().threadpool.apply(sum, ([1, 2, 3],)))
