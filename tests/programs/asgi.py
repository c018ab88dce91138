from fastapi import FastAPI

app = FastAPI()


@app.get("/{number}")
def read(number: int) -> dict:
    return {"number": number, "square": number * number}


async def plain(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"hello {scope['path']}".encode()})
