import asyncio

import uvloop


async def main():
    async def echo(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for number in range(20):
        writer.write(f"line {number}\n".encode())
        print((await reader.readline()).decode(), end="")
    writer.close()
    print(await asyncio.to_thread(sum, range(1000)), type(asyncio.get_running_loop()).__module__)
    process = await asyncio.create_subprocess_exec("echo", "child", stdout=asyncio.subprocess.PIPE)
    print((await process.communicate())[0])


uvloop.run(main())
