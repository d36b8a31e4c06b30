"""Thin adapters that move the bytes of `mcpcore`, on asyncio and on trio from the same code."""
