#!/usr/bin/env bash
# Run the fuzz targets, FUZZ_JOBS (2) at a time; all of them where none is named. Status 1 when one found something.
#   fuzz.sh SECONDS [TARGET...]       each for as long
#   fuzz.sh flat:SECONDS [TARGET...]  each until its coverage of rust/src has not grown for as long (tools/fuzz_flat.py)
#   fuzz.sh keep [TARGET...]          keep in fuzz/corpora what adds to the coverage of all that runs have learnt
# They start from fuzz/seeds and fuzz/corpora; what a run learns stays in fuzz/corpus and serves the next one. With
# FUZZ_SEED set a run from a clean checkout goes the way that every such run goes: what turns it red is the change.
# The last two do without the address sanitizer, which is there for the libraries in C: that runs three times as often,
# and panics and failed assertions are seen.
set -euo pipefail
cd "$(dirname "$0")/.."
work=run flat='' seconds=0 built=fuzz/target/plain options=(--sanitizer none)
case $1 in
  keep) work=keep ;;
  flat:*) flat=${1#flat:} ;; # 0 seconds: until it is told to stop
  *) seconds=$1 built=fuzz/target options=() ;;
esac
shift
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(sed -n 's/^name = "\(\(parse\|roundtrip\|differential\)_.*\)"/\1/p' fuzz/Cargo.toml)

# libFuzzer's instrumentation is an unstable flag of the compiler: this lets the stable one take it.
RUSTC_BOOTSTRAP=1 cargo fuzz build --release --target-dir "$built" "${options[@]}" >/dev/null
# Where targets keep files: no disk needs to see them.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
# What finds a stack or a heap that is used too late costs a third of the runs where targets start threads, and there is
# no unsafe code in the crate here.
export ASAN_OPTIONS=detect_stack_use_after_return=0:quarantine_size_mb=16:thread_local_quarantine_size_kb=16
export LSAN_OPTIONS=suppressions=$PWD/fuzz/leaks.supp:print_suppressions=0
# What was freed is kept for the next run: the system's pages cost as much as all else where a target has large buffers.
export MALLOC_TRIM_THRESHOLD_=500000000 MALLOC_MMAP_THRESHOLD_=500000000
programs=$built/$(rustc -vV | sed -n 's/^host: //p')/release

# Put what was kept of TARGET where the next run finds it. It may have no seeds.
unpack() {
  mkdir -p "fuzz/seeds/$1"
  [ ! -d "fuzz/corpus/$1" ] || return 0
  mkdir -p "fuzz/corpus/$1"
  [ ! -e "fuzz/corpora/$1.tar.gz" ] || tar -xzf "fuzz/corpora/$1.tar.gz" -C "fuzz/corpus/$1"
}

keep() {
  local target=$1 kept
  kept=$(mktemp -d)
  unpack "$target"
  # A merge that stops early has found few: they must not take the place of what was kept before.
  if ! "$programs/$target" -set_cover_merge=1 -rss_limit_mb=1024 "$kept" "fuzz/corpus/$target" "fuzz/seeds/$target" \
    2>"$kept.log"; then
    echo "$target: not merged: $(tail -n 1 "$kept.log")"
    return 1
  fi
  tar -c --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$kept" . | gzip -9n >"fuzz/corpora/$target.tar.gz"
  echo "$target: $(find "$kept" -type f | wc -l) inputs"
  rm -r "$kept" "$kept.log"
}

run() {
  local target=$1 log=fuzz/artifacts/$1/log status=0
  unpack "$target"
  mkdir -p "fuzz/artifacts/$target"
  : >"$log"
  ${flat:+python3 tools/fuzz_flat.py "$flat" "$log"} \
    "$programs/$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -max_total_time="$seconds" -timeout=10 -seed="${FUZZ_SEED:-0}" \
    -rss_limit_mb=1024 -malloc_limit_mb=256 -artifact_prefix="fuzz/artifacts/$target/" >>"$log" 2>&1 || status=$?
  if [ "$status" = 0 ]; then
    echo "$target: $(grep -E '^#[0-9]+\s+(DONE|.* cov: )' "$log" | tail -n 1 | tr -s ' \t' ' ') $(grep '^flat for' "$log")"
  else
    echo "$target: FOUND SOMETHING"
    grep -m 1 -A 6 'panicked at\|ERROR:' "$log" | cut -c -2000
    grep '^SUMMARY' "$log"
    # The input, to be taken out of what CI printed: base64 -d | gunzip.
    ls -t fuzz/artifacts/"$target"/* | grep -v '/log$' | head -n 1 | xargs gzip -c | base64 -w 0 | cut -c -20000
    return 1
  fi
}
mkdir -p fuzz/corpora
export -f run keep unpack
export programs seconds flat
printf '%s\n' "${targets[@]}" | xargs -P "${FUZZ_JOBS:-2}" -I '{}' bash -c "$work \"\$1\"" _ '{}'
