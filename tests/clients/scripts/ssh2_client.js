// Drives ssh2 for Node: one verb on the command line, the door in the environment.
'use strict';

const fs = require('fs');
const { Client } = require('ssh2');

const door = process.env;
const [verb, ...paths] = process.argv.slice(2);
const rekeyBytes = Number(door.DOOR_REKEY_BYTES);

// The library leaves known hosts to its caller.
const name = `[127.0.0.1]:${door.DOOR_PORT}`;
const known = fs
  .readFileSync(door.DOOR_KNOWN_HOSTS, 'utf8')
  .split('\n')
  .map((line) => line.split(' '))
  .filter(([host]) => host === name)
  .map(([, , key]) => key);

const ssh = new Client();

function end(error) {
  if (error) {
    console.error(String(error));
    process.exitCode = 1;
  }
  ssh.end();
}

// It changes keys by itself after far more than this, and has no setting for it: its own routine
// is called from outside after so many bytes.
let moved = 0;
function step(_total, bytes) {
  moved += bytes;
  if (moved >= rekeyBytes) {
    moved = 0;
    console.error('exchange of keys');
    ssh._protocol.rekey();
  }
}

function append(sftp, [local, remote]) {
  sftp.stat(remote, (error, found) => {
    if (error) return end(error);
    const source = fs.createReadStream(local, { start: found.size });
    const target = sftp.createWriteStream(remote, { flags: 'a' });
    target.on('error', end).on('close', () => end());
    source.pipe(target);
  });
}

const verbs = {
  put: (sftp) => sftp.fastPut(paths[0], paths[1], { step }, end),
  get: (sftp) => sftp.fastGet(paths[0], paths[1], { step }, end),
  append: (sftp) => append(sftp, paths),
  rename: (sftp) => sftp.rename(paths[0], paths[1], end),
  rm: (sftp) => sftp.unlink(paths[0], end),
  ls: (sftp) =>
    sftp.readdir(paths[0], (error, entries) => {
      if (error) return end(error);
      for (const entry of entries) console.log(entry.filename);
      end();
    }),
};

ssh
  .on('ready', () => ssh.sftp((error, sftp) => (error ? end(error) : verbs[verb](sftp))))
  .on('error', (error) => {
    console.error(String(error));
    process.exitCode = 1;
  })
  .connect({
    host: '127.0.0.1',
    port: Number(door.DOOR_PORT),
    username: door.DOOR_USER,
    privateKey: fs.readFileSync(door.DOOR_KEY),
    readyTimeout: 20000,
    hostVerifier: (key) => known.includes(key.toString('base64')),
  });
