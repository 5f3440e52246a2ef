#!/usr/bin/env bash
# A chain of real Linux routers in network namespaces, for IPv4 and IPv6:
#
#                    r2a             r4a
#     vantage -- r1 <   > r3 --<-- r4b -->-- r5 -- target
#                    r2b             r4c
#
#   build.sh enter PROGRAM…   run PROGRAM where all of this can be made and vanishes with it (needs root)
#   build.sh up NAME          make the namespaces NAME-vantage, NAME-r1, …; ready when it returns
#   build.sh five-tuple NAME  let NAME's balancers hash the five-tuple themselves, whatever the kernel has noted about a packet
#   build.sh translate NAME   let NAME's r1 translate what the vantage point sends from its second address to its first and another port
#   build.sh translated NAME  print how many connections r1 has translated so far, a family a line
#   build.sh down NAME        delete exactly these
#
# Every router has one address a family, 198.51.100.N and 2001:db8:1::N with N as below, on all its links: whatever it answers,
# and by whichever link, comes from that. Neighbours are static and nothing is detected, so that nothing waits for ARP or
# neighbour discovery. No route leads out of the chain.
set -euo pipefail
source "$(dirname "$(realpath "$0")")/namespaces.sh"

# Namespace and the last part of its address.
nodes=(vantage:1 r1:11 r2a:21 r2b:22 r3:31 r4a:41 r4b:42 r4c:43 r5:51 target:80)
links=(vantage:r1 r1:r2a r1:r2b r2a:r3 r2b:r3 r3:r4a r3:r4b r3:r4c r4a:r5 r4b:r5 r4c:r5 r5:target)
# Known to r5 alone: the one is answered for by it, the other is dropped in silence.
unreachable=90 blackhole=91
# Where the network is that the two, and the target, are part of: all hosts behind r5.
vantage4=198.51.100.1 vantage6=2001:db8:1::1
behind4=203.0.113.0/24 behind6=2001:db8:2::/64

declare -A number
for node in "${nodes[@]}"; do number[${node%:*}]=${node#*:}; done

address4() { if [ "$1" = target ]; then echo 203.0.113.80; else echo "198.51.100.${number[$1]}"; fi; }
address6() { if [ "$1" = target ]; then echo 2001:db8:2::80; else echo "2001:db8:1::${number[$1]}"; fi; }
# Of the end of a link that is at $1 and leads to $2.
hardware() { printf '02:00:00:00:%02d:%02d' "${number[$1]}" "${number[$2]}"; }

# Commands for `ip -batch`: from $1 to the networks $2 (IPv4) and $3 (IPv6) by any of the others.
route() {
  local here=$1 to4=$2 to6=$3 hops4="" hops6="" next
  shift 3
  for next in "$@"; do
    hops4+=" nexthop via $(address4 "$next") dev to-$next"
    hops6+=" nexthop via $(address6 "$next") dev to-$next"
  done
  echo "route add $to4$hops4"
  echo "route add $to6$hops6"
}

forth() { route "$1" "$behind4" "$behind6" "${@:2}"; }
# One way back: which it is shows nowhere.
back() { route "$1" "$vantage4/32" "$vantage6/128" "$2"; }

routes() {
  case $1 in
    vantage) forth vantage r1 ;;
    r1) forth r1 r2a r2b ;;
    r2?) forth "$1" r3 && back "$1" r1 ;;
    r3) forth r3 r4a r4b r4c && back r3 r2a ;;
    r4?) forth "$1" r5 && back "$1" r3 ;;
    r5)
      back r5 r4a
      echo "route add unreachable 203.0.113.$unreachable/32"
      echo "route add blackhole 203.0.113.$blackhole/32"
      echo "route add unreachable 2001:db8:2::$unreachable/128"
      echo "route add blackhole 2001:db8:2::$blackhole/128"
      ;;
    target) back target r5 ;;
  esac
}

up() {
  local name=$1 node here there batch
  for node in "${nodes[@]}"; do
    here=${node%:*}
    ip netns add "$name-$here"
    ip netns exec "$name-$here" bash "$0" settings "$((1000 + ${node#*:}))"
    ip -n "$name-$here" link set lo up
  done
  for link in "${links[@]}"; do
    here=${link%:*} there=${link#*:}
    ip link add "to-$there" netns "$name-$here" address "$(hardware "$here" "$there")" type veth \
      peer name "to-$here" netns "$name-$there" address "$(hardware "$there" "$here")"
  done
  for node in "${nodes[@]}"; do
    here=${node%:*}
    batch=$(
      for link in "${links[@]}"; do
        case $link in
          "$here":*) link_end "$here" "${link#*:}" ;;
          *:"$here") link_end "$here" "${link%:*}" ;;
        esac
      done
    )
    ip -n "$name-$here" -batch - <<<"$batch"
  done
  # As over a wire, datagrams are to leave with their checksums, not with a note that the device is to fill them in: routers quote
  # what they get, and scamper knows its own by it.
  ip netns exec "$name-vantage" ethtool -K to-r1 tx off >/dev/null
  # A next hop whose link has no carrier yet would be passed over.
  for node in "${nodes[@]}"; do
    until_ready "$name-${node%:*}"
    ip -n "$name-${node%:*}" -batch - <<<"$(routes "${node%:*}")"
  done
}

# With policy 1 a Linux router takes the hash that a packet carries if there is one. A packet from a connected UDP socket carries
# that of the socket, drawn at random, and keeps it over a veth: where the sender is on the same machine, such packets choose
# their next hop by socket. With policy 3 it is computed anew, here from addresses, protocol and ports.
five-tuple() {
  local router
  for router in r1 r3; do ip netns exec "$1-$router" bash "$0" five-tuple-here; done
}
five-tuple-here() {
  for family in ipv4 ipv6; do
    write $family/fib_multipath_hash_fields 0x37
    write $family/fib_multipath_hash_policy 3
  done
}

# As a home's or a cloud's router: the vantage point's second address, 2 where its first has 1, is nobody's behind r1. Ports become
# others; an echo request has none, and keeps its identifier.
translate() {
  local inside4=${vantage4%.*}.2 inside6=${vantage6%::*}::2
  ip -n "$1-vantage" address add "$inside4/32" dev to-r1
  ip -n "$1-vantage" address add "$inside6/128" dev to-r1 nodad
  ip -n "$1-r1" route add "$inside4/32" via "$vantage4" dev to-vantage
  ip -n "$1-r1" route add "$inside6/128" via "$vantage6" dev to-vantage
  ip netns exec "$1-r1" nft -f - <<END
table ip translation {
  counter connections { }
  chain out {
    type nat hook postrouting priority srcnat
    ip saddr $inside4 counter name connections
    ip saddr $inside4 meta l4proto { udp, tcp } snat to $vantage4:40000-49999 random
    ip saddr $inside4 snat to $vantage4
  }
}
table ip6 translation {
  counter connections { }
  chain out {
    type nat hook postrouting priority srcnat
    ip6 saddr $inside6 counter name connections
    ip6 saddr $inside6 meta l4proto { udp, tcp } snat to [$vantage6]:40000-49999 random
    ip6 saddr $inside6 snat to $vantage6
  }
}
END
}
translated() {
  for family in ip ip6; do
    ip netns exec "$1-r1" nft list counter $family translation connections | sed -n 's/.*packets \([0-9]*\).*/\1/p'
  done
}

down() {
  local node
  for node in "${nodes[@]}"; do
    # Those that were not made before something went wrong are not there to delete.
    if [ -e "/var/run/netns/$1-${node%:*}" ]; then ip netns delete "$1-${node%:*}"; fi
  done
}

"$@"
