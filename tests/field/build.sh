#!/usr/bin/env bash
# A vantage point with several uplinks in a network namespace, and a second namespace that holds their far ends:
#
#     NAME-vantage   s1 10.1.1.1/24 2001:db8:1:1::1/64  ----  n1   NAME-network
#                    s2 10.1.2.1/24 2001:db8:1:2::1/64  ----  n2
#                    …                                        …
#
#   build.sh enter USER PROGRAM…  run PROGRAM, as `root` or as the `mapped` root of a user namespace, where all of this can be
#                                 made and vanishes with it
#   build.sh up NAME COUNT        make the two namespaces with so many uplinks; ready when it returns
#
# The network has no addresses and its kernel answers nothing: a script does, on its devices. The gateways, .2 and ::2, are static
# neighbours. Routes are left to the case, but for the default by s1. Nothing else is connected.
set -euo pipefail

write() { echo "$2" >"/proc/sys/net/$1"; }

at() { nsenter --net="/var/run/netns/$1" -- "${@:2}"; }

vantage_settings() {
  for which in all default; do
    write "ipv4/conf/$which/rp_filter" 0
    write "ipv6/conf/$which/accept_dad" 0
    write "ipv6/conf/$which/accept_ra" 0
  done
  # Ping sockets for everybody: mapped groups of a user namespace are few.
  write ipv4/ping_group_range "${1:-0 65535}" 2>/dev/null || write ipv4/ping_group_range "0 0"
}
network_settings() { write ipv6/conf/default/disable_ipv6 1; }

up() {
  local name=$1 count=$2 at
  ip netns add "$name-vantage"
  ip netns add "$name-network"
  at "$name-vantage" bash "$0" vantage_settings
  at "$name-network" bash "$0" network_settings
  for ((at = 1; at <= count; at++)); do
    ip link add "s$at" netns "$name-vantage" address "02:00:00:00:01:0$at" type veth \
      peer name "n$at" netns "$name-network" address "02:00:00:00:02:0$at"
  done
  {
    for ((at = 1; at <= count; at++)); do echo "link set n$at txqueuelen 10000 up"; done
  } | ip -n "$name-network" -batch -
  {
    echo "link set lo up"
    for ((at = 1; at <= count; at++)); do
      cat <<END
link set s$at txqueuelen 10000 up
address add 10.1.$at.1/24 dev s$at
address add 2001:db8:1:$at::1/64 dev s$at nodad
neighbour replace 10.1.$at.2 lladdr 02:00:00:00:02:0$at dev s$at nud permanent
neighbour replace 2001:db8:1:$at::2 lladdr 02:00:00:00:02:0$at dev s$at nud permanent
END
    done
  } | ip -n "$name-vantage" -batch -
  # As over a wire, datagrams leave with their checksums: they are quoted as they came.
  for ((at = 1; at <= count; at++)); do at "$name-vantage" ethtool -K "s$at" tx off >/dev/null; done
  until_ready "$name-vantage"
  printf 'route add default via %s dev s1\n' 10.1.1.2 2001:db8:1:1::2 | ip -n "$name-vantage" -batch -
}

# Until every link has its carrier and every address may be used, for at most ten seconds.
until_ready() {
  local attempt waiting
  for attempt in {1..200}; do
    waiting=$(ip -n "$1" -oneline link show | grep -v 'state UP\|LOOPBACK' || true)
    waiting+=$(ip -n "$1" -oneline -6 address show tentative)
    if [ -z "$waiting" ]; then return; fi
    sleep 0.05
  done
  echo "$1 is not ready after $attempt looks: $waiting" >&2
  return 1
}

# Namespaces of networks, mounts and processes: the names are seen by PROGRAM alone, and all ends with it, even if it is killed.
enter() {
  local user=()
  if [ "$1" = mapped ]; then user=(--user --map-root-user); fi
  shift
  exec unshare "${user[@]}" --net --mount --pid --fork --kill-child --mount-proc --propagation private -- \
    bash -c 'mount -t tmpfs field /var/run && exec "$@"' bash "$@"
}

"$@"
