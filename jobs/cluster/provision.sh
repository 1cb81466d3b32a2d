#!/usr/bin/env bash
# Makes a Debian 12 machine a server or a client of a cluster. To be run as root; again at will.
#
#   provision.sh server|client ADDRESS SERVER[,SERVER,SERVER] SECRETS
#
# ADDRESS is this machine's own, SERVER those of the servers, and SECRETS a folder that all machines see while they are
# made, such as Vagrant's: the first server writes keys, certificates and tokens there, and the others take them. Keep it
# as you keep passwords. docs/cluster.md says what is done by hand where there is no such folder.
set -euo pipefail

role=$1 address=$2 secrets=$4
IFS=, read -ra servers <<<"$3"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Vagrant runs a copy of this script.
[[ -f $here/nomad.hcl ]] || here=/vagrant/jobs/cluster
checkout=$(cd "$here/../.." && pwd)
[[ $role == server || $role == client ]] || { echo "$role is neither server nor client" >&2; exit 64; }

say() { printf '== %s\n' "$*"; }

# Waits until a command succeeds, two minutes at most.
await() {
    local limit=$((SECONDS + 120))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < limit)) || { echo "waited in vain: $*" >&2; exit 1; }
        sleep 1
    done
}

packages() {
    say "packages"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -qy --no-install-recommends ca-certificates curl gpg
    # Debian has neither: its authors' own repositories.
    repository hashicorp https://apt.releases.hashicorp.com/gpg "https://apt.releases.hashicorp.com bookworm main"
    local wanted=(nomad consul)
    if [[ $role == server ]]; then
        repository grafana https://apt.grafana.com/gpg.key "https://apt.grafana.com stable main"
        wanted+=(grafana prometheus prometheus-alertmanager)
    fi
    apt-get update -q
    apt-get install -qy --no-install-recommends "${wanted[@]}"
    # They run as jobs, if at all.
    [[ $role == client ]] || systemctl disable --now prometheus prometheus-alertmanager grafana-server 2>/dev/null || true
}

repository() {
    local ring=/usr/share/keyrings/$1.gpg
    [[ -s $ring ]] || curl -fsSL "$2" | gpg --dearmor -o "$ring"
    echo "deb [signed-by=$ring] $3" >"/etc/apt/sources.list.d/$1.list"
}

# Made once for the cluster, by the first server: certificates, the gossip's key, and tokens, which are true as soon as
# the last server has come.
keys() {
    [[ ! -s $secrets/gossip ]] || return 0
    say "keys and certificates"
    mkdir -p "$secrets"
    (
        cd "$secrets"
        umask 077
        consul tls ca create
        for _ in "${servers[@]}"; do consul tls cert create -server; done
        nomad tls ca create
        nomad tls cert create -server -region global
        nomad tls cert create -client
        for name in nomad consul-agent consul-nomad consul-gateway consul-prometheus; do
            cat /proc/sys/kernel/random/uuid >"$name.token"
        done
        consul keygen >gossip
    )
}

consul_agent() {
    say "consul"
    local kind=agent own
    [[ $role == client ]] || kind=server
    rm -f /etc/consul.d/*.hcl
    install -m 644 "$checkout/consul/$kind.hcl" "$checkout/consul/$kind-tls.hcl" /etc/consul.d/
    install -m 644 "$secrets/consul-agent-ca.pem" /etc/consul.d/
    if [[ $role == server ]]; then
        for own in "${!servers[@]}"; do [[ ${servers[own]} != "$address" ]] || break; done
        install -m 640 -o consul "$secrets/dc1-server-consul-$own.pem" /etc/consul.d/consul.pem
        install -m 640 -o consul "$secrets/dc1-server-consul-$own-key.pem" /etc/consul.d/consul-key.pem
    fi
    {
        echo "bind_addr  = \"$address\""
        echo "retry_join = [$(quoted)]"
        echo "encrypt    = \"$(<"$secrets/gossip")\""
        [[ $role == client ]] || echo "bootstrap_expect = ${#servers[@]}"
        # An agent proves who it is before it gets its certificate.
        printf 'acl {\n  tokens {\n    agent = "%s"\n  }\n}\n' "$(<"$secrets/consul-agent.token")"
    } | install -m 640 -o consul /dev/stdin /etc/consul.d/local.hcl
    install -d -o consul /var/lib/consul
    systemctl enable --quiet consul
    systemctl restart consul
}

nomad_agent() {
    say "nomad"
    rm -f /etc/nomad.d/*.hcl
    install -m 644 "$here/nomad.hcl" "$here/$role.hcl" "$here/tls.hcl" /etc/nomad.d/
    install -m 644 "$secrets/nomad-agent-ca.pem" /etc/nomad.d/
    install -m 600 "$secrets/global-$role-nomad.pem" /etc/nomad.d/nomad.pem
    install -m 600 "$secrets/global-$role-nomad-key.pem" /etc/nomad.d/nomad-key.pem
    {
        echo "bind_addr = \"0.0.0.0\""
        printf 'advertise {\n  http = "%s"\n  rpc  = "%s"\n  serf = "%s"\n}\n' "$address" "$address" "$address"
        printf 'consul {\n  token = "%s"\n}\n' "$(<"$secrets/consul-nomad.token")"
        if [[ $role == server ]]; then
            printf 'server {\n  bootstrap_expect = %s\n  encrypt = "%s"\n' "${#servers[@]}" "$(<"$secrets/gossip")"
            printf '  server_join {\n    retry_join = [%s]\n  }\n}\n' "$(quoted)"
        else
            # Functions listen where the cluster is, which need not be the way to the rest of the world.
            printf 'client {\n  servers = [%s]\n  network_interface = "%s"\n}\n' "$(quoted)" "$(interface)"
        fi
    } | install -m 600 /dev/stdin /etc/nomad.d/local.hcl
    install -d /var/lib/nomad
    # Clients start processes in control groups, which takes root.
    install -d /etc/systemd/system/nomad.service.d
    printf '[Service]\nUser=root\nGroup=root\n' >/etc/systemd/system/nomad.service.d/root.conf
    systemctl daemon-reload
    systemctl enable --quiet nomad
    systemctl restart nomad
}

interface() { ip -o -4 addr show | awk -v address="$address" 'index($4, address "/") == 1 { print $2; exit }'; }

quoted() { printf '"%s"\n' "${servers[@]}" | paste -sd, -; }

# Makes the tokens true, once the servers have elected a leader.
consul_tokens() {
    [[ ! -s $secrets/consul.token ]] || return 0
    say "tokens of consul"
    await leader_of_consul
    local policy token
    token=$(consul acl bootstrap | sed -n 's/^SecretID: *//p')
    export CONSUL_HTTP_TOKEN=$token
    for policy in agent nomad gateway prometheus; do
        consul acl policy create -name "$policy" -rules "@$checkout/consul/policies/$policy.hcl" >/dev/null
        consul acl token create -description "$policy" -policy-name "$policy" \
            -secret "$(<"$secrets/consul-$policy.token")" >/dev/null
    done
    echo "$token" | secret consul.token
}

leader_of_consul() { [[ $(curl -fs http://127.0.0.1:8500/v1/status/leader) == *:* ]]; }

nomad_tokens() {
    [[ ! -s $secrets/env ]] || return 0
    say "tokens of nomad"
    export NOMAD_ADDR=http://$address:4646 NOMAD_TOKEN
    NOMAD_TOKEN=$(<"$secrets/nomad.token")
    await nomad acl bootstrap "$secrets/nomad.token"
    nomad acl policy apply gateway "$checkout/jobs/gateway.policy.hcl"
    # Where jobs/gateway.nomad looks for them.
    nomad var put -force nomad/jobs/gateway "consul_token=$(<"$secrets/consul-gateway.token")" \
        "nomad_token=$(nomad acl token create -name gateway -policy gateway -t '{{.SecretID}}')" >/dev/null
    secret env <<END
export NOMAD_ADDR=$NOMAD_ADDR NOMAD_TOKEN=$NOMAD_TOKEN CONSUL_HTTP_TOKEN=$(<"$secrets/consul.token")
END
}

secret() { (umask 077 && cat >"$secrets/$1"); }

packages
if [[ $role == server && $address == "${servers[0]}" ]]; then keys; fi
await test -s "$secrets/gossip"
consul_agent
nomad_agent
# Three servers elect nobody before the last of them has come.
if [[ $role == server && $address == "${servers[-1]}" ]]; then
    consul_tokens
    nomad_tokens
    say "the cluster is there: . $secrets/env"
fi
