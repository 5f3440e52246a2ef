# What the networks of routers in this directory share: the settings of a router's namespace, waiting for its links, and where all of it
# can be made. For `source`.

write() { echo "$2" >"/proc/sys/net/$1"; }
# For what older kernels do not have, or not for each namespace.
write_if_there() { if [ -w "/proc/sys/net/$1" ]; then write "$1" "$2"; fi; }

# In a namespace: what must be so before its links exist, for they take it over. $1: its seed for choosing among next hops.
settings() {
  for which in all default; do
    write "ipv4/conf/$which/rp_filter" 0
    write "ipv6/conf/$which/disable_ipv6" 0
    write "ipv6/conf/$which/accept_dad" 0
    write "ipv6/conf/$which/accept_ra" 0
    write "ipv6/conf/$which/forwarding" 1
  done
  write ipv4/ip_forward 1
  write ipv4/fib_multipath_hash_policy 1
  write ipv6/fib_multipath_hash_policy 1
  write_if_there ipv4/fib_multipath_hash_seed "$1"
  # Else packets from the host's own sockets carry a hash, made for the label, which routers on the same machine go by.
  write ipv6/auto_flowlabels 0
  # Every probe is to be answered: no limit a peer, none a namespace, and no kind of message that either counts.
  write ipv4/icmp_ratelimit 0
  write ipv4/icmp_ratemask 0
  write_if_there ipv4/icmp_msgs_per_sec 1000000
  write_if_there ipv4/icmp_msgs_burst 1000000
  write ipv6/icmp/ratelimit 0
  write_if_there ipv6/icmp/ratemask ""
}

# Commands for `ip -batch`: the end of a link that is at $1 and leads to $2. `address4`, `address6` and `hardware` are those
# of the script that reads this file.
link_end() {
  local link="to-$2"
  cat <<END
link set $link txqueuelen 10000 up
address add $(address4 "$1") peer $(address4 "$2") dev $link
address add $(address6 "$1") peer $(address6 "$2") dev $link nodad
neighbour replace $(address4 "$2") lladdr $(hardware "$2" "$1") dev $link nud permanent
neighbour replace $(address6 "$2") lladdr $(hardware "$2" "$1") dev $link nud permanent
END
}

# Until every link of a namespace has its carrier and every address may be used, for at most ten seconds.
until_ready() {
  local attempt waiting
  for attempt in {1..100}; do
    waiting=$(ip -n "$1" -oneline link show | grep -v 'state UP\|LOOPBACK' || true)
    waiting+=$(ip -n "$1" -oneline -6 address show tentative)
    if [ -z "$waiting" ]; then return; fi
    sleep 0.1
  done
  echo "$1 is not ready after $attempt looks: $waiting" >&2
  return 1
}

# Namespaces of networks, mounts and processes: the names are seen by PROGRAM alone, and all ends with it, even if it is killed.
enter() {
  exec unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private -- \
    bash -c 'mount -t tmpfs routers /var/run && exec "$@"' bash "$@"
}
