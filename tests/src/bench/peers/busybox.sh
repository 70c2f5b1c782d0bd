#!/bin/sh
# A sample a second without an agent, posted as JSON. Called with the URL.
#
# As cheap as a shell can be: it reads the files itself, and starts only df, wget and sleep.

url=$1
read -r host </proc/sys/kernel/hostname
total_before=0
idle_before=0

while :; do
    read -r _ user nice system idle iowait irq softirq steal _ </proc/stat
    idle=$((idle + iowait))
    total=$((user + nice + system + idle + irq + softirq + steal))
    elapsed=$((total - total_before))
    cpu=$((elapsed > 0 ? 1000 * (elapsed - idle + idle_before) / elapsed : 0))
    total_before=$total
    idle_before=$idle

    memory=0
    while read -r name value _; do
        case $name in
            MemTotal:) memory_total=$value ;;
            MemAvailable:)
                memory=$((1000 * (memory_total - value) / memory_total))
                break
                ;;
        esac
    done </proc/meminfo

    received=0
    sent=0
    while read -r name bytes_in _ _ _ _ _ _ _ bytes_out _; do
        case $name in
            lo:) ;;
            *:)
                received=$((received + bytes_in))
                sent=$((sent + bytes_out))
                ;;
        esac
    done </proc/net/dev

    # Seven words of heading, then device, size, used, available.
    # shellcheck disable=SC2046 # the words are what is wanted
    set -- $(busybox df -kP /)
    disk=$((1000 * ${10} / (${10} + ${11})))

    json="{\"hostname\":\"$host\",\"cpu_percent\":$((cpu / 10)).$((cpu % 10)),"
    json="$json\"memory_percent\":$((memory / 10)).$((memory % 10)),"
    json="$json\"disk_percent\":$((disk / 10)).$((disk % 10)),"
    json="$json\"network_bytes_sent\":$sent,\"network_bytes_recv\":$received}"
    busybox wget -q -O /dev/null --header 'Content-Type: application/json' \
        --post-data "$json" "$url"
    busybox sleep 1
done
