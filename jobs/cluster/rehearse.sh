#!/usr/bin/env bash
# Rehearses provision.sh on one machine, which it leaves as it was: three servers and a client, each with a network, a
# root of its own configuration and processes of its own; of a real machine they lack apt-get and systemd.
#
#   rehearse.sh [COMMAND...]
#
# COMMAND runs on the client, with the cluster's tokens in its environment, once all four are there; without one, what
# Nomad and Consul say of their members is shown. To be run as root, with nomad and consul on PATH.
set -euo pipefail

net=10.77.0
servers=("$net.11" "$net.12" "$net.13")
client=$net.21
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [[ ${REHEARSAL:-} != inside ]]; then
    # What is started in here ends with it.
    REHEARSAL=inside exec unshare --mount --net --pid --fork --kill-child --mount-proc "$0" "$@"
fi

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir "$stage/bin" "$stage/secrets"

# What provision.sh asks of systemd, and of the packages that are here already.
cat >"$stage/bin/systemctl" <<END
#!/usr/bin/env bash
case "\$1 \$2" in
    "restart consul")
        exec setpriv --reuid consul --regid consul --clear-groups \
            consul agent -config-dir=/etc/consul.d &>>$stage/\$MACHINE-consul.log & ;;
    "restart nomad") exec nomad agent -config=/etc/nomad.d &>>$stage/\$MACHINE-nomad.log & ;;
esac
END
printf '#!/bin/sh\n' >"$stage/bin/apt-get"
chmod 755 "$stage" "$stage"/bin/*

# Makes a machine: on a bridge, with empty folders wherever provision.sh writes. Its way out is another network than the
# cluster's, and the same address on all, as VirtualBox has it.
machine() {
    local name=$1 address=$2
    ip netns add "$name"
    ip link add "$name" type veth peer name eth1 netns "$name"
    ip link set "$name" master bridge up
    ip link add "out-$name" type veth peer name eth0 netns "$name"
    ip link set "out-$name" up
    ip -n "$name" addr add 10.0.2.15/24 dev eth0
    ip -n "$name" addr add "$address/24" dev eth1
    for interface in lo eth0 eth1; do ip -n "$name" link set $interface up; done
    ip -n "$name" route add default via 10.0.2.2
    MACHINE=$name PATH=$stage/bin:$PATH ip netns exec "$name" unshare --mount --uts bash -euo pipefail -c '
        hostname "$MACHINE"
        for folder in /etc/consul.d /etc/nomad.d /etc/systemd/system /etc/apt/sources.list.d /usr/share/keyrings \
            /var/lib/consul /var/lib/nomad; do
            mkdir -p $folder
            mount -t tmpfs -o mode=755 rehearsal $folder
        done
        # The keys of repositories, as if they had been fetched.
        echo key | tee /usr/share/keyrings/{hashicorp,grafana}.gpg >/dev/null
        "$@"' - "$here/provision.sh" "$3" "$address" "$(IFS=,; echo "${servers[*]}")" "$stage/secrets"
}

mount -t tmpfs rehearsal /run
ip link add bridge type bridge
ip link set bridge up
for n in "${!servers[@]}"; do machine "server-$((n + 1))" "${servers[n]}" server; done
machine client-1 $client client

on_client() { ip netns exec client-1 bash -euo pipefail -c '. "$0"; "$@"' "$stage/secrets/env" "$@"; }
until on_client nomad node status 2>/dev/null | grep -q ' ready$'; do
    ((SECONDS < 120)) || { tail -n 20 "$stage"/*.log >&2; echo "the client does not become ready" >&2; exit 1; }
    sleep 1
done
if (($#)); then
    on_client "$@"
else
    on_client nomad server members
    on_client nomad node status -json
    on_client consul members
fi
