#!/usr/bin/env bash
# Run the fuzz targets SECONDS each, two at a time: fuzz.sh SECONDS [TARGET...]. Status 1 when one found something.
# They start from the seeds in git; what a run learns stays in fuzz/corpus and serves the next one. With FUZZ_SEED set
# a run from a clean checkout goes the way that every such run goes: what turns it red is the change.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(sed -n 's/^name = "\(\(parse\|roundtrip\|differential\)_.*\)"/\1/p' fuzz/Cargo.toml)

# libFuzzer's instrumentation is an unstable flag of the compiler: this lets the stable one take it.
RUSTC_BOOTSTRAP=1 cargo fuzz build --release >/dev/null
programs=fuzz/target/$(rustc -vV | sed -n 's/^host: //p')/release

run() {
  local target=$1 log=fuzz/artifacts/$1/log
  mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target" "fuzz/artifacts/$target"
  if "$programs/$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -max_total_time="$seconds" -timeout=10 -seed="${FUZZ_SEED:-0}" \
    -rss_limit_mb=1024 -malloc_limit_mb=256 -artifact_prefix="fuzz/artifacts/$target/" >"$log" 2>&1; then
    echo "$target: $(grep -E '^#[0-9]+\s+DONE' "$log" | tr -s ' \t' ' ')"
  else
    echo "$target: FOUND SOMETHING"
    grep -m 1 -A 6 'panicked at\|ERROR:' "$log" | cut -c -2000
    grep '^SUMMARY' "$log"
    # The input, to be taken out of what CI printed: base64 -d | gunzip.
    ls -t fuzz/artifacts/"$target"/* | grep -v '/log$' | head -n 1 | xargs gzip -c | base64 -w 0 | cut -c -20000
    return 1
  fi
}
export -f run
export programs seconds
printf '%s\n' "${targets[@]}" | xargs -P 2 -I '{}' bash -c 'run "$1"' _ '{}'
