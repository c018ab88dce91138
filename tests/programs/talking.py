import asyncio

from aiohttp import ClientSession, web


async def hello(request):
    return web.Response(text="hello " + request.match_info["name"])


async def main():
    app = web.Application()
    app.router.add_get("/{name}", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    async with ClientSession() as session:

        async def ask(number):
            async with session.get(f"http://127.0.0.1:{port}/{number}") as answer:
                return await answer.text()

        print(await asyncio.gather(*(ask(number) for number in range(40))))
    await runner.cleanup()


asyncio.run(main())
