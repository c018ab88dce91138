import threading

import requests
from flask import Flask, jsonify
from werkzeug.serving import make_server

app = Flask(__name__)


@app.get("/<int:number>")
def page(number):
    return jsonify(square=number * number)


server = make_server("127.0.0.1", 0, app, threaded=True)
threading.Thread(target=server.serve_forever).start()
for number in range(20):
    print(requests.get(f"http://127.0.0.1:{server.port}/{number}", timeout=60).json())
server.shutdown()
