#!/usr/bin/env bash
# A fabric of real Linux routers in network namespaces that balance over equal-cost next hops (ECMP), for IPv4 and IPv6.
#
#   mesh:     vantage - r1 - {a1 a2 a3 a4} x {b1 b2 b3 b4} - z - target     every a is linked with every b
#   tree:     vantage - r1 - {a1 a2 a3 a4} - {b11 .. b44} - z - target      every a has four b of its own
#   halves:   vantage - r1 - {a1 a2} - {b11 .. b28} - {c11 .. c28} - z - target     no link between the half of a1 and that of a2
#   fan:      vantage - r1 - {a1 a2 a3 a4} - z - target                     one balancer
#   uplinks:  vantage - {a1 a2} - z - target                                the balancer is the vantage point itself
#
#   fabric.sh up NAME SHAPE TARGETS     make the namespaces NAME-vantage, NAME-r1, ..., for this number of targets; ready when it returns
#   fabric.sh links SHAPE FAMILY        print what a survey must find to every target: one link a line, "TTL NEAR FAR"; the target is "target"
#   fabric.sh targets FAMILY TARGETS    print the addresses of the targets, one a line
#   fabric.sh policy NAME POLICY        let all routers hash by this policy (the kernel's numbers); for policy 3, fields may follow
#   fabric.sh forth NAME NODE KIND NEXT:WEIGHT...
#                                       give NODE these next hops; KIND: plain, or resilient (a resilient group of next hops)
#   fabric.sh silence NAME NODE         NODE sends no answers any more, and forwards as before
#   fabric.sh track NAME NODE           NODE tracks connections and drops what its table calls invalid, as a stateful firewall does
#   fabric.sh per-packet NAME NODE      NODE draws one of its next hops for each packet, whatever its flow
#   fabric.sh down NAME                 delete exactly these namespaces
#
# Each router has a seed of its own for its hashes. Otherwise all of them choose alike, and a second tier shows a part of its next hops only.
# Addresses, neighbours and settings are as in `../build.sh`, which also has `enter`. No route leads out of the fabric.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
source "$here/../namespaces.sh"

# The links of a shape, each from the nearer node to the farther one. A node balances over all links that go out from it. Answers go
# back by the first link that comes in.
shape() {
  local a b c
  case $1 in
    mesh)
      echo vantage:r1
      for a in 1 2 3 4; do echo "r1:a$a"; done
      for a in 1 2 3 4; do for b in 1 2 3 4; do echo "a$a:b$b"; done; done
      for b in 1 2 3 4; do echo "b$b:z"; done
      ;;
    tree)
      echo vantage:r1
      for a in 1 2 3 4; do echo "r1:a$a"; done
      for a in 1 2 3 4; do for b in 1 2 3 4; do echo "a$a:b$a$b"; done; done
      for a in 1 2 3 4; do for b in 1 2 3 4; do echo "b$a$b:z"; done; done
      ;;
    fan)
      echo vantage:r1
      for a in 1 2 3 4; do echo "r1:a$a"; done
      for a in 1 2 3 4; do echo "a$a:z"; done
      ;;
    halves)
      echo vantage:r1
      for a in 1 2; do echo "r1:a$a"; done
      for a in 1 2; do for b in {1..8}; do echo "a$a:b$a$b"; done; done
      for a in 1 2; do for b in {1..8}; do for c in {1..8}; do echo "b$a$b:c$a$c"; done; done; done
      for a in 1 2; do for c in {1..8}; do echo "c$a$c:z"; done; done
      ;;
    uplinks)
      for a in 1 2; do echo "vantage:a$a"; done
      for a in 1 2; do echo "a$a:z"; done
      ;;
    *)
      echo "no shape is called $1" >&2
      return 2
      ;;
  esac
  echo z:target
}

# The number of a node: the last part of its addresses, and a part of those of its devices.
number() {
  case $1 in
    vantage) echo 1 ;;
    r1) echo 2 ;;
    a?) echo $((10 + ${1:1:1})) ;;
    b?) echo $((20 + ${1:1:1})) ;;
    b??) echo $((22 + 8 * ${1:1:1} + ${1:2:1})) ;;
    c??) echo $((54 + 8 * ${1:1:1} + ${1:2:1})) ;;
    z) echo 90 ;;
    target) echo 99 ;;
  esac
}
address4() { echo "198.51.100.$(number "$1")"; }
address6() { echo "2001:db8:1::$(number "$1")"; }
hardware() { printf '02:00:00:00:%02d:%02d' "$(number "$1")" "$(number "$2")"; }

# All targets are addresses of one host.
targets4=198.18.0.0/16 targets6=2001:db8:2::/64
targets() {
  local at
  for ((at = 0; at < $2; at++)); do
    case $1 in
      4) echo "198.18.$((at / 250)).$((at % 250 + 1))" ;;
      6) printf '2001:db8:2::%x\n' $((at + 1)) ;;
    esac
  done
}

nodes() { tr : '\n' | awk '!seen[$0]++'; }
next_hops() { sed -n "s/^$1://p"; }
earlier_hop() { sed -n "s/:$1\$//p" | head -n 1; }

links() {
  local link near far ttl
  declare -A depth=([vantage]=0)
  while IFS=: read -r near far; do
    ttl=${depth[$near]}
    depth[$far]=$((ttl + 1))
    # The vantage point is no node of a graph.
    if [ "$near" = vantage ]; then continue; fi
    near=$(address"$2" "$near")
    if [ "$far" != target ]; then far=$(address"$2" "$far"); fi
    echo "$ttl $near $far"
  done < <(shape "$1")
}

# Commands for `ip -batch`: to the targets by the next hops that follow, each with its weight. The second argument is for `route`.
forth_plain() {
  local hops4="" hops6="" next weight
  for next in "${@:2}"; do
    weight=${next#*:} next=${next%:*}
    hops4+=" nexthop via $(address4 "$next") dev to-$next weight $weight"
    hops6+=" nexthop via $(address6 "$next") dev to-$next weight $weight"
  done
  echo "route $1 $targets4$hops4"
  echo "route $1 $targets6$hops6"
}

# The same, with a resilient group of each family. Buckets move at once when the group changes.
forth_resilient() {
  local group4="" group6="" next weight id4=100 id6=200
  for next in "${@:2}"; do
    weight=${next#*:} next=${next%:*}
    id4=$((id4 + 1)) id6=$((id6 + 1))
    echo "nexthop replace id $id4 via $(address4 "$next") dev to-$next"
    echo "nexthop replace id $id6 via $(address6 "$next") dev to-$next"
    group4+="/$id4,$weight" group6+="/$id6,$weight"
  done
  echo "nexthop replace id 100 group ${group4#/} type resilient buckets 128 idle_timer 0"
  echo "nexthop replace id 200 group ${group6#/} type resilient buckets 128 idle_timer 0"
  echo "route $1 $targets4 nhid 100"
  echo "route $1 $targets6 nhid 200"
}

forth() {
  "forth_$3" replace "${@:4}" | ip -n "$1-$2" -batch -
}

# Commands for `ip -batch`: the routes of $1, with the links of the shape on standard input.
routes() {
  local links next earlier
  links=$(cat)
  next=$(next_hops "$1" <<<"$links")
  if [ -n "$next" ] && [ "$1" != z ]; then
    # shellcheck disable=SC2086,SC2046 # one word a next hop
    forth_plain add $(printf '%s:1 ' $next)
  elif [ "$1" = z ]; then
    forth_plain add target:1
  fi
  earlier=$(earlier_hop "$1" <<<"$links")
  if [ -n "$earlier" ] && [ "$earlier" != vantage ]; then
    echo "route add $(address4 vantage)/32 via $(address4 "$earlier") dev to-$earlier"
    echo "route add $(address6 vantage)/128 via $(address6 "$earlier") dev to-$earlier"
  fi
}

seed() {
  if [ ! -w /proc/sys/net/ipv4/fib_multipath_hash_seed ]; then
    echo "this kernel has no net.ipv4.fib_multipath_hash_seed for each namespace (Linux 6.11 has it): all routers would choose alike" >&2
    return 3
  fi
  write ipv4/fib_multipath_hash_seed "$1"
}

up() {
  local name=$1 count=$3 node near far link links all batch
  links=$(shape "$2")
  all=$(nodes <<<"$links")
  for node in $all; do
    ip netns add "$name-$node"
    ip netns exec "$name-$node" bash "$0" prepare "$((1000 + $(number "$node")))"
  done
  for link in $links; do
    near=${link%:*} far=${link#*:}
    ip link add "to-$far" netns "$name-$near" address "$(hardware "$near" "$far")" type veth \
      peer name "to-$near" netns "$name-$far" address "$(hardware "$far" "$near")"
  done
  for node in $all; do
    batch=$(
      echo "link set lo up"
      for near in $(sed -n "s/:$node\$//p" <<<"$links"); do link_end "$node" "$near"; done
      for far in $(next_hops "$node" <<<"$links"); do link_end "$node" "$far"; done
    )
    ip -n "$name-$node" -batch - <<<"$batch"
  done
  {
    echo "route add local $targets4 dev lo"
    # Errors over IPv6 come from an address only if it is assigned.
    targets 6 "$count" | sed 's|.*|address add &/128 dev lo nodad|'
  } | ip -n "$name-target" -batch -
  for near in $(next_hops vantage <<<"$links"); do
    # As over a wire, datagrams leave with their checksums. `../build.sh` says why.
    ip netns exec "$name-vantage" ethtool -K "to-$near" tx off >/dev/null
  done
  for node in $all; do
    until_ready "$name-$node"
    routes "$node" <<<"$links" | ip -n "$name-$node" -batch -
  done
}
prepare() {
  seed "$1"
  settings "$1"
}

# The namespaces of NAME, one a line.
namespaces() { ip netns list | awk '{ print $1 }' | grep "^$1-" || true; }

policy() {
  local node
  for node in $(namespaces "$1"); do ip netns exec "$node" bash "$0" policy_here "${@:2}"; done
}
policy_here() {
  local family
  for family in ipv4 ipv6; do
    if [ $# -gt 1 ]; then write $family/fib_multipath_hash_fields "$2"; fi
    write $family/fib_multipath_hash_policy "$1"
  done
}

silence() {
  ip netns exec "$1-$2" nft -f - <<END
table inet silence {
  chain answers {
    type filter hook output priority filter
    meta l4proto { icmp, ipv6-icmp } drop
  }
}
END
}

track() {
  ip netns exec "$1-$2" nft -f - <<END
table inet tracking {
  chain through {
    type filter hook forward priority filter
    ct state invalid drop
  }
}
END
}

per-packet() {
  local node="$1-$2" mark=0 next count
  count=$(ip -n "$node" -oneline link show | grep -c ': to-a')
  for next in $(ip -n "$node" -oneline link show | sed -n 's/.*: to-\(a[0-9]*\)@.*/\1/p'); do
    mark=$((mark + 1))
    ip -n "$node" -batch - <<END
route add $targets4 via $(address4 "$next") dev to-$next table $mark
route add $targets6 via $(address6 "$next") dev to-$next table $mark
rule add fwmark $mark table $mark
END
    ip -n "$node" -6 rule add fwmark $mark table $mark
  done
  ip netns exec "$node" nft -f - <<END
table inet balancing {
  chain first {
    type filter hook prerouting priority mangle
    meta mark set numgen random mod $count offset 1
  }
}
END
}

down() {
  local node
  for node in $(namespaces "$1"); do ip netns delete "$node"; done
}

"$@"
