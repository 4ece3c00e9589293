"""Coroutine functions that the tests of inputs call on hosts."""


async def total(numbers):
    found = 0
    async for number in numbers:
        found += number
    return found
