# What each of two machines does in wired_machines.py: sh on_each.sh PYTHON. $VM says which it is.
python=$1
network=lab/topologies/three-hosts/network.yaml
other=$((3 - VM))
if [ "$VM" = 1 ]; then peered="office-1 laboratory-1 10.9.1.10"; else peered="laboratory-1 office-1 10.8.1.10"; fi

dataplane() { "$python" -m dataplane "$@"; }
in_red() { ip netns exec "dp-i-red-$VM" "$@"; }

# reach INSTANCE NAME ADDRESS: waits until the other machine is as far, then counts.
reach() {
    tries=0
    until ip netns exec "dp-i-$1" ping -c1 -W1 "$3" >/dev/null 2>&1 || [ $tries -gt 300 ]; do tries=$((tries + 1)); done
    heard=$(ip netns exec "dp-i-$1" ping -q -c20 -i0.2 -W5 "$3" | grep -o '[0-9]* received')
    echo "$1 reaches $2: ${heard% received} of 20"
}

# on_wire FILTER: how many packets of a kind have been heard on the card.
on_wire() {
    tcpdump -nn -r /tmp/heard "$@" 2>/dev/null | wc -l
}

ip link set eth0 up
ip address add "172.20.0.1$VM/24" dev eth0
tcpdump -Z root -nn -p -i eth0 -s 128 -U -w /tmp/heard 2>/dev/null &
listener=$!
dataplane apply --host "host-$VM" "$network" >/tmp/applied 2>&1; code=$?
echo "apply: $code"
[ $code = 0 ] || cat /tmp/applied
echo "hooks: $(dataplane status -o json 2>/dev/null | grep -o '"detail": "hook [a-z]*, [1-9]' | cut -d' ' -f3 | tr -d ,)"

reach "red-$VM" "red-$other" "10.1.$other.10"
way=$(in_red traceroute -n -I -q1 -w5 "10.1.$other.10" | sed 1d | awk '{print $2}' | xargs)
echo "red-$VM to red-$other goes by: $way"
# shellcheck disable=SC2086 # three words
reach $peered
if [ "$VM" = 1 ]; then
    # R88: green has the same address, and in this very machine.
    heard=$(ip netns exec dp-i-green-2 nstat -asz IcmpInEchos | awk 'NR == 2 {print $2}')
    echo "echoes that green-2 of this machine heard: $heard"
    # The other machine's server begins when its pings are through.
    tries=0
    until in_red iperf3 -c 10.1.2.10 -n 2M >/tmp/iperf 2>&1 || [ $tries -gt 60 ]; do tries=$((tries + 1)); sleep 1; done
    tail -n1 /tmp/iperf | grep -qx 'iperf Done.'; echo "TCP from red-1 to red-2: $?"
else
    in_red timeout 300 iperf3 -s -1 >/dev/null 2>&1
fi
sleep 1
kill "$listener"; wait "$listener"
[ "$VM" = 2 ] || echo "packets that were no VXLAN on the wire: $(on_wire 'ip and not udp port 4789')"
echo "VXLAN on the wire: $([ "$(on_wire udp port 4789)" -gt 100 ] && echo yes)"
[ "$VM" = 2 ] || echo "nothing to do: $(dataplane apply --host host-1 "$network" 2>&1 | grep '^plan:')"
