#!/bin/sh
# Uploads a batch file with OpenSSH's sftp and waits for its answer: for cron and for exports.
#
#   upload.sh [-p PORT] [-i KEY] [-k KNOWN_HOSTS] [-d FOLDER] [-t SECONDS] USER@HOST FILE
#
#   -p  the port (2022)
#   -i  the private key; without it, what ~/.ssh/config says
#   -k  the file with the server's key; without it, ~/.ssh/known_hosts
#   -d  a folder for what was written back: status, results, errors, rows to be mended
#   -t  how long the answer is waited for (3600)
#
# It says in one line on standard error what became of the file, and ends with
#
#   0  every message was accepted, or would be if this is a dry run
#   1  the file was taken, but not every message was accepted
#   2  the script was called wrongly
#   3  the file was refused as a whole; nothing of it was sent
#   4  the file was not uploaded, or the line broke before the server could say so; call it again
#   5  no final answer came in time; the file is safe and the service goes on with it
#
# Calling it again is always safe: content that was sent before is refused (3).
# One job at a time may use a name, as the newest file of a name has the status of that name.

set -u

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

usage() {
    say 'call it as upload.sh [-p PORT] [-i KEY] [-k KNOWN_HOSTS] [-d FOLDER] [-t SECONDS] USER@HOST FILE'
    exit 2
}

port=2022 key='' known_hosts='' folder='' patience=3600
while getopts p:i:k:d:t: option; do
    case $option in
    p) port=$OPTARG ;;
    i) key=$OPTARG ;;
    k) known_hosts=$OPTARG ;;
    d) folder=$OPTARG ;;
    t) patience=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -eq 2 ] || usage
door=$1 file=$2
case $file in -*) file=./$file ;; esac
name=${file##*/}
case $patience in '' | *[!0-9]*) usage ;; esac
# sftp reads commands, and these characters would end or change one.
case $file$folder in *[\"\\]* | *'
'*) say "quotation marks, backslashes and line breaks cannot stand in a name"; exit 2 ;; esac
case $name in
*.json | *.jsonl | *.ndjson | *.json.gz | *.jsonl.gz | *.ndjson.gz | *.zip | *.zst) ;;
*) say "$name is not the name of a batch file"; exit 2 ;;
esac
[ -r "$file" ] || { say "$file cannot be read"; exit 2; }
if [ -n "$folder" ] && [ ! -d "$folder" ]; then
    say "$folder is not a folder"
    exit 2
fi

work=$(mktemp -d) || exit 4
trap 'rm -rf "$work"' EXIT
interrupted=4
trap 'exit "$interrupted"' HUP INT TERM

# Carries out the sftp commands on standard input, up to the first that fails.
sftp_do() {
    set -- -q -b - -P "$port" -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15
    [ -z "$key" ] || set -- "$@" -i "$key" -o IdentitiesOnly=yes
    [ -z "$known_hosts" ] || set -- "$@" -o "UserKnownHostsFile=\"$known_hosts\""
    sftp "$@" "$door" >"$work/said" 2>&1
}

# Fetches the status of the newest file of this name, if there is one; without a whole one, the one
# that was fetched before stays. Fails only when the server cannot be asked.
fetch_status() {
    rm -f "$work/new"
    printf -- '-get "whatsapp/results/%s.status.json" "%s/new"\n' "$name" "$work" | sftp_do ||
        return 1
    if [ -f "$work/new" ] && [ "$(tail -n 1 "$work/new")" = '}' ]; then
        mv "$work/new" "$work/status"
    fi
}

# The value of a key of the status: each key stands on a line of its own, indented by its depth.
at_top() {
    sed -n "s/^  \"$1\": \"\{0,1\}\([^\",]*\).*/\1/p" "$work/status"
}
count() {
    sed -n "s/^    \"$1\": \([0-9]*\),\{0,1\}\$/\1/p" "$work/status"
}

# What the name stood for before: the answer to wait for is of another batch.
: >"$work/status"
if ! fetch_status; then
    say "$name was not uploaded: $(tail -n 1 "$work/said")"
    exit 4
fi
before=$(at_top batch)

# A working name is not looked at; the rename says that the file is whole.
if ! printf 'put "%s" "whatsapp/%s.part"\nrename "whatsapp/%s.part" "whatsapp/%s"\n' \
    "$file" "$name" "$name" "$name" | sftp_do; then
    say "$name was not uploaded: $(tail -n 1 "$work/said")"
    exit 4
fi
interrupted=5

waited=0 pause=1
while :; do
    # A connection that fails here is tried again: the file is safe by now.
    fetch_status
    batch=$(at_top batch)
    if [ "$batch" != "$before" ] && [ "$(at_top final)" = true ]; then
        break
    fi
    if [ "$waited" -ge "$patience" ]; then
        say "$name has no final answer after $waited s"
        exit 5
    fi
    sleep "$pause"
    waited=$((waited + pause))
    [ "$pause" -ge 15 ] || pause=$((pause + 1))
done

if [ -n "$folder" ]; then
    cp "$work/status" "$folder/$batch.$name.status.json"
    # The file itself needs not be fetched: it is the one that was uploaded.
    sed -n 's/^    "\([a-z]*\/.*\)",\{0,1\}$/\1/p' "$work/status" |
        grep -v '^processed/' | grep -F -x -v "errors/$batch.$name" |
        while IFS= read -r path; do
            printf 'get "whatsapp/%s" "%s/"\n' "$path" "$folder"
        done >"$work/wanted"
    if [ -s "$work/wanted" ] && ! sftp_do <"$work/wanted"; then
        say "$name was answered, but not every file was fetched: $(tail -n 1 "$work/said")"
    fi
fi

state=$(at_top state) total=$(count total) accepted=$(count accepted)
say "$name is $state as batch $batch: $accepted of $total messages accepted"
case $state in
rejected | duplicate) exit 3 ;;
checked) [ "$(count invalid)" = 0 ] || exit 1 ;;
*) [ "$accepted" = "$total" ] || exit 1 ;;
esac
