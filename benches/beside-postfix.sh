#!/usr/bin/env bash
# Outpost beside Postfix in one run: scenarios a (accept), b (until the sink has everything), c (STARTTLS and
# a login on each connection) and d (1 MB messages) of the bench harness, interleaved, then the syncs per
# message by strace. SCENARIO=c runs one of them alone; then no syncs are counted.
#
#   benches/beside-postfix.sh HARNESS [ROUNDS] [SECONDS]
#
# HARNESS is the folder of the harness (its loadgen is built on first use). Needs Debian's postfix,
# sasl2-bin and strace, root, and a quiet machine. Everything happens on loopback; every load is
# bounded in count and time. Both relay to the same sink; Outpost answers 250 after its sync, with a
# login on every connection and both shipped components deciding.
set -euo pipefail
harness=$(cd "$1" && pwd)
rounds=${2:-5}
seconds=${3:-4}
scenario=${SCENARIO:-abcd}
repository=$(cd "$(dirname "$0")/.." && pwd)
export PATH="$PATH:/usr/sbin"

work=$(mktemp -d)
chmod 755 "$work" # Postfix is another user
export ROOT="$work/run" SINK=2600
mkdir -p "$ROOT" "$work/outpost"
outpost="${CARGO_TARGET_DIR:-$repository/target}/release/outpost"
export SMTPBENCH="$harness/loadgen/target/release/smtpbench"
[ -x "$SMTPBENCH" ] || cargo build --release --quiet --manifest-path "$harness/loadgen/Cargo.toml"
[ -x "$outpost" ] || cargo build --release --quiet --manifest-path "$repository/Cargo.toml"

cat > "$work/outpost/outpost.toml" <<CONFIGURATION
hostname = "relay.test"
data_dir = "$work/outpost/data"
[submission]
addresses = ["127.0.0.1"]
ports = "2510"
implicit_tls_ports = ""
plaintext_auth = true
[[delivery.route]]
recipients = "*"
smarthost = "127.0.0.1:2600"
[admin]
address = "127.0.0.1:8099"
[log]
filter = "warn"
CONFIGURATION

stop() {
    [ -z "${relay:-}" ] || kill "$relay" 2>/dev/null || true
    "$harness/peers/peers.sh" stop postfix >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap stop EXIT

"$harness/peers/peers.sh" setup postfix >/dev/null
"$harness/peers/peers.sh" start postfix >/dev/null
(
    cd "$work/outpost"
    exec "$harness/peers/in-cgroup.sh" b_outpost "$outpost" --config outpost.toml
) >"$work/outpost/log" 2>&1 &
relay=$!
for _ in $(seq 100); do
    curl --silent --fail http://127.0.0.1:8099/livez >/dev/null && break
    sleep 0.1
done
password=$("$outpost" --config "$work/outpost/outpost.toml" user add --name bench --domains bench.test | awk '/^password/ { print $2 }')

results="$work/results.jsonl"
for _ in $(seq "$rounds"); do
    python3 "$harness/bench.py" --name postfix --port 2501 --cgroup b_postfix --mail-from bench@bench.test --user bench --pass secret \
        --sink-port 2600 --scenario "$scenario" --reps 1 --secs "$seconds" --queue-dir "$work" --out "$results" >/dev/null
    python3 "$harness/bench.py" --name outpost --port 2510 --cgroup b_outpost --mail-from bench@bench.test \
        --always-auth --user bench --pass "$password" \
        --sink-port 2600 --scenario "$scenario" --reps 1 --secs "$seconds" --queue-dir "$work" --out "$results" >/dev/null
done
echo "hardware: $(nproc) cores, $(awk '/model name/ { $1=$2=$3=""; print; exit }' /proc/cpuinfo), kernel $(uname -r)"
echo "postfix $(postconf -d -h mail_version), outpost $("$outpost" --version), $rounds rounds of $seconds s, 4 KB bodies"
python3 "$harness/summary.py" "$results" --base postfix
[ -z "${KEEP:-}" ] || cp "$results" "$KEEP"

[ -z "${SCENARIO:-}" ] || exit 0
echo
echo "## syncs per message (strace), outpost"
"$SMTPBENCH" sink --port 2600 --ctl 2699 >/dev/null 2>&1 &
sink=$!
for connections in 1 10 100; do
    echo "c=$connections:"
    "$harness/syscalls.sh" b_outpost 2510 2000 "$connections" --from bench@bench.test --rcpt rcpt@dest.test \
        --size 4096 --user bench --pass "$password" | grep -E '^(fsync|fdatasync)' || echo "none"
done
kill "$sink"
