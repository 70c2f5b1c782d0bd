# Reports a file system that fills up, and one that has room again. For the shell of busybox and
# any other; needs df and sed.
#
# A line of JSON comes in, one goes out. There is no JSON reader here: the requests are those that
# the agent makes, and the options were checked against plugin.yaml before they came.

path=/
threshold=90
state=room

member() {
    # The text or number under a key of the request in $line.
    printf '%s\n' "$line" | sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"
}

used_percent() {
    df -P "$path" 2>/dev/null | sed -n '2s/.* \([0-9]*\)%.*/\1/p'
}

good() {
    printf '{"action":"%s","success":true,"data":%s}\n' "$action" "$1"
}

bad() {
    printf '{"action":"%s","success":false,"error":"%s"}\n' "$action" "$1"
}

event() {
    printf '{"type":"%s","source":"disk-space","severity":"%s","data":{"path":"%s","used_percent":%s,"threshold":%s},"tags":["disk"]}' \
        "$1" "$2" "$path" "$used" "$threshold"
}

detect() {
    used=$(used_percent)
    if [ -z "$used" ]; then
        bad "df knows nothing of $path"
    elif [ "$used" -ge "$threshold" ] && [ "$state" = room ]; then
        state=full
        good "$(event disk.full high)"
    elif [ "$used" -lt "$threshold" ] && [ "$state" = full ]; then
        state=room
        good "$(event disk.room low)"
    else
        good null
    fi
}

while IFS= read -r line && [ -n "$line" ]; do
    action=$(printf '%s\n' "$line" | sed -n 's/^{"action":"\([a-z_]*\)".*/\1/p')
    case $action in
    get_info) good '{"id":"disk-space","name":"Disk space","version":"1.0.0","type":"trigger"}' ;;
    initialize)
        given=$(member path)
        path=${given:-/}
        given=$(member threshold)
        threshold=${given:-90}
        case $path in
        *[\"\\]*) bad "path must have no quotes and no backslashes" ;;
        *) good null ;;
        esac
        ;;
    start | stop) good null ;;
    get_status) good '"running"' ;;
    get_health)
        if [ -n "$(used_percent)" ]; then
            good '{"status":"healthy","message":"","metrics":{}}'
        else
            good '{"status":"unhealthy","message":"df knows nothing of the path","metrics":{}}'
        fi
        ;;
    detect_triggers) detect ;;
    *) bad "unknown action" ;;
    esac
done
