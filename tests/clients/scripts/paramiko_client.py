"""Drives paramiko: one verb on the command line, the door in the environment."""

import os
import sys

import paramiko

DOOR = os.environ


class Told(paramiko.Transport):
    """Says when it begins an exchange of keys; the caller counts."""

    def _send_kex_init(self):
        print("exchange of keys", file=sys.stderr)
        super()._send_kex_init()


def connect():
    ssh = paramiko.SSHClient()
    ssh.load_host_keys(DOOR["DOOR_KNOWN_HOSTS"])
    ssh.set_missing_host_key_policy(paramiko.RejectPolicy())
    ssh.connect(
        "127.0.0.1",
        int(DOOR["DOOR_PORT"]),
        DOOR["DOOR_USER"],
        key_filename=DOOR["DOOR_KEY"],
        look_for_keys=False,
        allow_agent=False,
        timeout=20,
        transport_factory=Told,
    )
    ssh.get_transport().packetizer.REKEY_BYTES = int(DOOR["DOOR_REKEY_BYTES"])
    return ssh


def append(sftp, local, remote):
    done = sftp.stat(remote).st_size
    with open(local, "rb") as source, sftp.open(remote, "ab") as target:
        target.set_pipelined(True)
        source.seek(done)
        while block := source.read(32768):
            target.write(block)


def main(verb, *paths):
    ssh = connect()
    sftp = ssh.open_sftp()
    if verb == "put":
        sftp.put(*paths)
    elif verb == "get":
        sftp.get(*paths)
    elif verb == "append":
        append(sftp, *paths)
    elif verb == "rename":
        sftp.rename(*paths)
    elif verb == "ls":
        print("\n".join(sftp.listdir(*paths)))
    elif verb == "rm":
        sftp.remove(*paths)
    ssh.close()


main(*sys.argv[1:])
