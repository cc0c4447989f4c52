"""A program that sends forged callbacks at full speed: `python forger.py URL HOW_MANY`.

A process of its own: what it needs of memory and time is not the receiver's. It keeps
its connections where the server does, and prints which answers it got how often.
"""

import asyncio
import collections
import json
import random
import sys

from senders import FINISH, address, hear, request

CONNECTIONS = 20


def forged(url, rng):
    """One forgery: most often a nonce that is guessed, or else anything."""
    base = url.rpartition("/")[0]
    guess = f"{base}/{rng.randbytes(24).hex()[:32]}"
    body = json.dumps({**FINISH, "instanceId": f"in{rng.random()}"}).encode()
    match rng.randrange(10):
        case 0:
            return request(guess, rng.randbytes(rng.randrange(5000)))
        case 1:
            return request(guess, body, method=rng.choice(["GET", "PUT", "HEAD"]))
        case 2:
            return request(f"{base}/{'x' * rng.randrange(3000)}", body)
        case _:
            return request(guess, body)


async def forge(url, seed, numbers, answers):
    rng = random.Random(seed)
    reader = writer = None
    for _ in numbers:
        if writer is None:
            reader, writer = await asyncio.open_connection(*address(url))
        try:
            writer.write(forged(url, rng))
            heard = await hear(reader)
        except ConnectionError:
            heard = None
        answers[heard.status if heard else "cut"] += 1
        if heard is None or heard.headers.get("connection") == "close":
            writer.close()
            writer = None


async def main(url, how_many):
    answers = collections.Counter()
    numbers = iter(range(how_many))
    async with asyncio.TaskGroup() as group:
        for seed in range(CONNECTIONS):
            group.create_task(forge(url, seed, numbers, answers))
    print(json.dumps(answers))  # noqa: T201 - what it is for


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
