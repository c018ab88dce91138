import http.server
import threading
from concurrent.futures import ThreadPoolExecutor

import requests


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello " + self.path.encode())

    def log_message(self, *_):
        pass


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with ThreadPoolExecutor(4) as pool:
        for text in pool.map(lambda number: requests.get(f"{address}/{number}", timeout=60).text, range(40)):
            print(text)
    server.shutdown()
