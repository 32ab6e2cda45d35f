"""Drives asyncssh: one verb on the command line, the door in the environment."""

import asyncio
import os
import sys

import asyncssh

DOOR = os.environ
BLOCK_BYTES = 1 << 20


class Told(asyncssh.connection.SSHClientConnection):
    """Says when it begins an exchange of keys; the caller counts."""

    def _send_kexinit(self):
        print("exchange of keys", file=sys.stderr)
        super()._send_kexinit()


async def append(sftp, local, remote):
    done = await sftp.getsize(remote)
    with open(local, "rb") as source:
        source.seek(done)
        async with sftp.open(remote, "ab") as target:
            while block := source.read(BLOCK_BYTES):
                await target.write(block)


def received(ssh):
    """Has what comes in count too: by itself it counts only what it sends."""
    before = 0

    def progress(_source, _target, done, _total):
        nonlocal before
        ssh._rekey_bytes_sent += done - before
        before = done

    return progress


async def carry_out(ssh, sftp, verb, paths):
    if verb == "put":
        await sftp.put(*paths)
    elif verb == "get":
        await sftp.get(*paths, progress_handler=received(ssh))
    elif verb == "append":
        await append(sftp, *paths)
    elif verb == "rename":
        await sftp.rename(*paths)
    elif verb == "ls":
        names = await sftp.listdir(*paths)
        print("\n".join(name for name in names if name not in (".", "..")))
    elif verb == "rm":
        await sftp.remove(*paths)


async def main(verb, *paths):
    # The connection's class is no setting, and its exchanges are told to nobody else.
    asyncssh.connection.SSHClientConnection = Told
    options = {
        "port": int(DOOR["DOOR_PORT"]),
        "username": DOOR["DOOR_USER"],
        "client_keys": [DOOR["DOOR_KEY"]],
        "known_hosts": DOOR["DOOR_KNOWN_HOSTS"],
        "rekey_bytes": int(DOOR["DOOR_REKEY_BYTES"]),
        "config": None,
        "agent_path": None,
        "login_timeout": 20,
    }
    async with asyncssh.connect("127.0.0.1", **options) as ssh:
        async with ssh.start_sftp_client() as sftp:
            await carry_out(ssh, sftp, verb, paths)


asyncio.run(main(*sys.argv[1:]))
