"""Starts a server, asks it over its socket, ends it, and leaves with its exit code: `served.py SOCKET SERVER...`."""

import http.client
import signal
import socket
import subprocess
import sys
import time


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])


def ask(path):
    for _ in range(600):
        try:
            connection = Connection("localhost")
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.1)
    sys.exit("the server does not answer")


server = subprocess.Popen(sys.argv[2:], stderr=subprocess.DEVNULL)
for number in range(20):
    print(*ask(f"/{number}"))
server.send_signal(signal.SIGTERM)
sys.exit(server.wait())
