"""The server of the official SDK, on its standard streams."""

from support.servers.sdk import server

if __name__ == "__main__":
    server.run("stdio")
